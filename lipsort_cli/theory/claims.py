"""Every claim of the theory, with the check that was made of it here and now."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import torch

from lipsort_cli.certificates.points import lipschitz_bound
from lipsort_cli.directed_text import at_most
from lipsort_cli.norms import NAMES
from lipsort_cli.theory import conversions, gradients, lattice, relu
from lipsort_cli.theory.exact import Affine, ExactNetwork, Vector, dot
from lipsort_cli.theory.lattice import errors
from lipsort_cli.verifier.graph import parse_network
from lipsort_cli.zoo import network_bytes


def steep_data(count: int, dim: int, norm: str, seed: int) -> tuple[list[Vector], Vector]:
    """Different rational points, and values that are 1-Lipschitz on them in ``norm``.

    Each value is in turn the largest and the smallest that the earlier ones allow, so that many
    pairs are as steep as the norm permits. L2 distances are no rational numbers: there the slope is
    one part in 10,000 less, which leaves room for cutting them to six digits.
    """
    draw = random.Random(seed)
    points: list[Vector] = []
    while len(points) < count:
        point = [Fraction(draw.randint(-40, 40), 8) for _ in range(dim)]
        if point not in points:
            points.append(point)
    values: Vector = []
    for k, point in enumerate(points):
        reach = [
            (value - _distance(point, other, norm), value + _distance(point, other, norm))
            for other, value in zip(points, values, strict=False)
        ]
        low = max((a for a, _ in reach), default=Fraction(0))
        high = min((b for _, b in reach), default=Fraction(0))
        values.append(low if k % 2 else high)
    return points, values


def _distance(x: Vector, y: Vector, norm: str) -> Fraction:
    step = [abs(a - b) for a, b in zip(x, y, strict=True)]
    if norm == "linf":
        return max(step)
    if norm == "l1":
        return sum(step, Fraction(0))
    square = dot(step, step)
    root = Fraction(int(float(square) ** 0.5 * (1 - 1e-4) * 10**6), 10**6)
    while root * root > square:
        root -= Fraction(1, 10**6)
    return root


PROVEN, EMPIRICAL = "proven", "empirical"
DEPTHS = (1, 2, 3, 4)


class Claim(NamedTuple):
    """A statement, whether it held when it was checked, and how that was done.

    ``evidence``: ``proven`` where the check settles the statement as written, in exact arithmetic;
    ``empirical`` where it is what training found.
    """

    name: str
    claim: str
    evidence: str
    holds: bool
    detail: str


def check_all(
    seed: int = 0,
    quick: bool = False,
    progress: Callable[[str], None] | None = None,
    bends: dict[str, dict[int, relu.Bent]] | None = None,
) -> list[Claim]:
    """Check every claim; ``quick`` trains and samples less. About 20 s, or 5 s.

    ``bends``: trained networks of :func:`train_all`, where they exist already.
    """
    checks: list[Callable[[], Claim]] = [
        no_relu_bends_fully,
        lambda: one_steepest_gradient(seed, quick),
        lambda: singular_values_become_one(seed, quick),
        lambda: universality(quick),
        shallow_relu_bends_by_one,
        *(conversion.check for conversion in CONVERSIONS),
        *(partial(lattice_interpolates, norm, seed, quick) for norm in ("linf", "l2", "l1")),
        lambda: trained_bends(bends or train_all(seed, quick)),
    ]
    found = []
    for check in checks:
        found.append(check())
        if progress is not None:
            progress(found[-1].name)
    return found


def train_all(seed: int = 0, quick: bool = False) -> dict[str, dict[int, relu.Bent]]:
    """Networks that bend as far as training finds, by activation and depth."""
    depths = DEPTHS[:2] if quick else DEPTHS
    options = {"steps": 150 if quick else 250, "restarts": 1 if quick else 2, "seed": seed}
    return {
        "relu": {depth: relu.train_bend(depth, "relu", **options) for depth in depths},
        "maxmin": {1: relu.train_bend(1, "maxmin", **options)},
    }


# --- ReLU and the absolute value ----------------------------------------------------------------


def no_relu_bends_fully() -> Claim:
    """The theorem's small case, by exhaustion."""
    networks, slopes, counterexamples = relu.search()
    return Claim(
        "relu_slopes",
        "no ReLU network 1-2-2-1 with orthonormal weights k/5 has slope -1 and slope +1",
        PROVEN,
        counterexamples == 0,
        f"{networks:,} networks, {slopes:,} slopes, every activation pattern, whole numbers; any "
        "depth, width and weights: proof in lipsort_cli/theory/relu.py",
    )


def shallow_relu_bends_by_one() -> Claim:
    """The bound of one hidden layer is attained."""
    network = relu.best_shallow()
    found = relu.bend(network)
    return Claim(
        "relu_shallow",
        "one hidden ReLU layer attains f(1) + f(-1) - 2 f(0) = 1, the most it can; |x| has 2",
        PROVEN,
        found == 1 and network.constrained("l2"),
        f"bend {found}, weights 1/2, spectral norms at most 1, in rational numbers",
    )


def trained_bends(bends: dict[str, dict[int, relu.Bent]]) -> Claim:
    """What training finds, by depth."""
    found = {depth: bent.bend for depth, bent in bends["relu"].items()}
    maxmin = min(bent.bend for bent in bends["maxmin"].values())
    values = list(found.values())
    grows = all(a < b for a, b in itertools.pairwise(values))
    # Float32 evaluates and keeps weights orthonormal to about 1e-5.
    holds = found[1] <= 1 + 1e-4 and grows and values[-1] < 1.9 and maxmin > 1.99
    listed = ", ".join(f"{value:.3f} with {depth}" for depth, value in found.items())
    return Claim(
        "trained_bend",
        "trained for it, ReLU bends further with every hidden layer, and short of 2; MaxMin by 2",
        EMPIRICAL,
        holds,
        f"ReLU {listed} hidden layers; MaxMin {maxmin:.4f} with 1",
    )


# --- gradients of norm 1, and universality ------------------------------------------------------


def one_steepest_gradient(seed: int, quick: bool) -> Claim:
    """Theorem 1 on drawn networks, every pattern of slopes; :mod:`.gradients` says why."""
    draw = random.Random(seed)
    networks = patterns = steep = 0
    holds = True
    for inputs, width in itertools.product((1, 2, 3, 4), (2, 3, 4)):
        for _ in range(1 if quick else 4):
            weights = gradients.random_weights(inputs, [width, width], draw)
            count, found = gradients.steepest(weights)
            networks, patterns, steep = networks + 1, patterns + count, steep + len(found)
            holds &= len(found) <= 1 and all(map(gradients.singular_values_one, weights))
    return Claim(
        "theorem_1",
        "a network R^n -> R of norm-constrained weights and monotone activations has one gradient "
        "of norm 1 at most: ReLU, leaky ReLU, tanh, sigmoid",
        PROVEN,
        holds and steep > 0,
        f"{networks} orthonormal rational networks, n = 1 to 4, {patterns:,} patterns, {steep} "
        "networks with such a gradient; slopes between 0 and 1 and any network: proof in "
        "lipsort_cli/theory/gradients.py",
    )


def singular_values_become_one(seed: int, quick: bool) -> Claim:
    """Theorem 2 as a program, and the rewritten network beside the one it was made from."""
    draw = random.Random(seed)
    points = rewritten = 0
    holds = True
    for size, depth in ((2, 1), (2, 3), (4, 2)) if quick else ((2, 1), (2, 3), (4, 2), (6, 3)):
        network = gradients.wasteful(size, depth, draw)
        made = gradients.rewritten(network)
        before, after = (
            [layer.weight for layer in one.layers if isinstance(layer, Affine)]
            for one in (network, made)
        )
        holds &= network.constrained("l2") and not all(map(gradients.singular_values_one, before))
        holds &= all(map(gradients.singular_values_one, after))
        inputs = [[Fraction(draw.randint(-40, 40), 8) for _ in range(2 * size)] for _ in range(20)]
        holds &= all(network(x) == made(x) for x in inputs)
        points, rewritten = points + len(inputs), rewritten + 1
    return Claim(
        "theorem_2",
        "a network of gradient norm 1 keeps its function when all singular values are made 1",
        PROVEN,
        holds,
        f"{rewritten} MaxMin networks with singular values 0 and 1/2, rewritten in rational "
        f"numbers: every weight orthonormal exactly, equal at {points} points; at others: proof "
        "in lipsort_cli/theory/gradients.py",
    )


def universality(quick: bool) -> Claim:
    """The lattice construction on ever finer grids."""
    found = {dim: errors(dim) for dim in ((1, 2) if quick else (1, 2, 3))}
    holds = all(
        one.sound and one.found <= one.bound + 1e-12  # evaluated in binary64
        for series in found.values()
        for one in series
    )
    listed = "; ".join(
        f"{dim} dimensions: " + ", ".join(f"{e.found:.3f} with {e.points}" for e in series)
        for dim, series in found.items()
    )
    return Claim(
        "universality",
        "GroupSort networks through points err by at most 2 h everywhere, where no input is "
        "farther than h from a point",
        PROVEN,
        holds,
        "right at the points and 1-Lipschitz in rational numbers, as what it approximates is; "
        f"measured on a fine grid in binary64 (empirical), {listed}",
    )


# --- activations in terms of each other ---------------------------------------------------------


class Conversion(NamedTuple):
    """An activation written by others: equal at points that settle it, as ``detail`` says why.

    ``cases``: networks, the norms that they are constrained in, and the points.
    """

    name: str
    claim: str
    wanted: Callable[[Vector], Vector]
    cases: Callable[[], list[tuple[ExactNetwork, tuple[str, ...], list[Vector]]]]
    detail: str

    def check(self) -> Claim:
        """Exactly; what is constrained in L2 or L-infinity alone, by the verifier as well."""
        holds = True
        for network, norms, points in self.cases():
            holds &= all(network.constrained(norm) for norm in norms)
            holds &= all(network(point) == self.wanted(point) for point in points)
            if norms != EVERY:
                holds &= all(constant(network, norm) <= 1 + 1e-6 for norm in norms)
        return Claim(self.name, self.claim, PROVEN, holds, self.detail)


def _absolute(x: Vector) -> Vector:
    return [abs(v) for v in x]


def _pairs(x: Vector) -> Vector:
    return [v for i in range(0, len(x), 2) for v in sorted(x[i : i + 2])]


EVERY = ("l2", "linf", "l1")
CONVERSIONS = (
    Conversion(
        "absolute_value_by_maxmin",
        "MaxMin writes the absolute value exactly, for every input, in L2 and in L-infinity",
        _absolute,
        lambda: [
            (conversions.absolute_value_by_maxmin(3, norm), (norm,), _grid(3, (-1, 0, 1)))
            for norm in ("l2", "linf")
        ],
        "equal at -1, 0, 1 in every coordinate, linear between and beyond; norms exactly at most 1",
    ),
    Conversion(
        "maxmin_by_absolute_value",
        "the absolute value writes MaxMin exactly on a box, in L2",
        _pairs,
        lambda: [(conversions.maxmin_by_absolute_value(4, 3), ("l2",), _grid(4, (-3, 3)))],
        "equal at the corners of [-3, 3]^4, affine on each order of x and y; norms at most 1",
    ),
    Conversion(
        "fullsort_by_maxmin",
        "MaxMin and permutations write FullSort exactly, for every input, in every norm",
        sorted,
        lambda: [
            (conversions.fullsort_by_maxmin(width), EVERY, _grid(width, (0, 1)))
            for width in (2, 4, 6, 8, 10)
        ],
        "widths 2, 4, 6, 8, 10: all inputs of zeros and ones (0-1 principle: comparisons commute "
        "with monotone functions)",
    ),
    Conversion(
        "maxmin_by_fullsort",
        "FullSort writes MaxMin exactly on a box, in every norm",
        _pairs,
        lambda: [(conversions.maxmin_by_fullsort(6, 2), EVERY, _grid(6, (-2, 2)))],
        "equal at the corners of [-2, 2]^6, where the shifted pairs cannot mix; affine on each "
        "order of the pairs; norms exactly 1",
    ),
    Conversion(
        "absolute_value_by_fullsort",
        "FullSort writes the absolute value exactly on a box, in L2",
        _absolute,
        lambda: [(conversions.absolute_value_by_fullsort(2, 3), ("l2",), _grid(2, range(-3, 4)))],
        "the absolute value by MaxMin, MaxMin by FullSort; equal on the grid of [-3, 3]^2 as well",
    ),
    Conversion(
        "fullsort_by_absolute_value",
        "the absolute value writes FullSort exactly on a box, in L2",
        sorted,
        lambda: [(conversions.fullsort_by_absolute_value(4, 2), ("l2",), _grid(4, (-2, 0, 1, 2)))],
        "FullSort by MaxMin, MaxMin by the absolute value; equal on a grid of [-2, 2]^4 as well",
    ),
    Conversion(
        "relu_by_maxmin",
        "MaxMin writes ReLU exactly, for every input, in every norm",
        lambda x: [max(v, Fraction(0)) for v in x],
        lambda: [(conversions.relu_by_maxmin(3), EVERY, _grid(3, (-1, 0, 1)))],
        "equal at -1, 0, 1 in every coordinate, linear between and beyond; norms exactly at most 1",
    ),
)


# --- the lattice --------------------------------------------------------------------------------


def lattice_interpolates(norm: str, seed: int, quick: bool) -> Claim:
    """Random data whose values are as steep as the norm allows for many pairs."""
    count, dim = (6, 2) if quick else (10, 3)
    points, values = steep_data(count, dim, norm, seed)
    network = lattice.interpolate(points, values, norm)
    exact = all(network(p)[0] == v for p, v in zip(points, values, strict=True))
    plain = network.network()
    inputs = torch.tensor([[float(v) for v in point] for point in points])
    with torch.no_grad():
        missed = plain(inputs)[:, 0] - torch.tensor([float(v) for v in values])
    error = float(missed.abs().max())
    holds = exact and network.mixed(norm) and error < 1e-5
    detail = (
        f"{count} points in {dim} dimensions, in rational numbers; in float32 within {error:.1g}"
    )
    if norm == "linf":
        bound = constant(network, norm)
        holds &= bound <= 1 + 1e-6
        detail += f"; the verifier bounds the saved network by {at_most(bound, 10)}"
    claim = f"the lattice construction takes given values exactly, 1-Lipschitz in {NAMES[norm]}"
    return Claim(f"lattice_{norm}", claim, PROVEN, holds, detail)


# --- shared -------------------------------------------------------------------------------------


def constant(network: ExactNetwork, norm: str) -> float:
    """What the verifier proves of the float32 network's constant."""
    return lipschitz_bound(parse_network(network_bytes(network.network())), norm).value


def _grid(features: int, values: Iterable[int]) -> list[Vector]:
    return [
        [Fraction(v) for v in point] for point in itertools.product(tuple(values), repeat=features)
    ]
