"""Exact transport between weighted samples, and valid upper bounds beyond its reach.

Upper bounds here are *proven*: the cost of a coupling, with every rounding error on the safe side.
Points are scaled by a power of two first, so that no distance underflows, and mass that both
samples share is cancelled, so that a far fill value costs no digits.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.data.precision import as_binary64, moved, parts
from lipsort_cli.errors import LipsortError
from lipsort_cli.wasserstein.masses import Array, Net, coupled, net, on_a_line, whole

METRICS = {"l2": "euclidean", "linf": "chebyshev", "l1": "cityblock"}
UNIT = 2.0**-53
TINY = 2.0**-480
"""What underflow in squares of coordinates may cost a distance of points scaled to about 1, and a
sum of such; more than 2^-537 times the root of any dimension."""


TIGHT = 1e-6
"""Relative width up to which the interval of a transport problem is called exact."""


_INFINITE = "transport: a distance between samples is not finite"


class Rows(Protocol):
    """Points [n, d], in memory or on disk; float32, or float64 where that would round them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, d]."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Any: ...


class Transport(NamedTuple):
    """An optimal coupling's value and its Kantorovich duals.

    ``upper`` is a proven upper bound (the cost of a coupling, rounded up), ``lower`` a proven
    lower bound (the value of feasible duals, rounded down). ``dual_x`` [n] and ``dual_y`` [m] are
    f and -f of one 1-Lipschitz function: dual_x[i] + dual_y[j] <= cost[i, j] up to rounding.
    """

    value: float
    upper: float
    lower: float
    dual_x: Array
    dual_y: Array

    @property
    def width(self) -> float:
        """How far apart the bounds are, relative to the upper one; 0 where that is 0."""
        return (self.upper - self.lower) / self.upper if self.upper > 0 else 0.0


def normalised(weights: Array | None, count: int) -> Array:
    """Weights [count] that sum to 1; uniform for None."""
    if weights is None:
        return np.full(count, 1.0 / count)
    return np.asarray(weights, dtype=np.float64) / math.fsum(weights)


def costs(x: Rows, y: Rows, norm: str) -> Array:
    """Ground distances, float64 [n, m].

    Relative error at most (d + 4) u in every norm (differences of float32 or float64 points are
    rounded once, sums of d terms d times, one root).
    """
    from scipy.spatial.distance import cdist

    points = (np.asarray(a[:], dtype=np.float64).reshape(len(a), -1) for a in (x, y))
    return cdist(*points, METRICS[norm])


def exact_transport(
    x: Rows,
    y: Rows,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    *,
    norm: str = "l2",
) -> Transport:
    """W1 between two weighted samples x [n, ...] and y [m, ...], by network simplex.

    W1 = min { sum G_ij c_ij : G >= 0, G 1 = a, G' 1 = b }, solved by POT (Bonneel et al., 2011)
    after what both samples share is cancelled, with costs scaled to about 1 by a power of two. The
    proven bounds do not rely on the solver: along the edges that its plan uses, masses are moved
    in integers (:func:`~lipsort_cli.wasserstein.masses.coupled`), and any v becomes feasible with
    its c-transform. Where points differ in one coordinate only, W1 is an integral, whatever n.

    Raises:
        LipsortError: a coordinate or a distance is not finite, or no binary64.
    """
    x_points, y_points = _binary64(x, y)
    weights = whole(x_weights, len(x)), whole(y_weights, len(y))
    low = np.minimum(x_points.min(0), y_points.min(0))
    high = np.maximum(x_points.max(0), y_points.max(0))
    varying = np.flatnonzero(high > low)
    with np.errstate(over="ignore"):
        bounded = bool(np.isfinite(high - low).all())
    if not bounded:
        raise LipsortError(_INFINITE)
    if len(varying) < 2:
        column = int(varying[0]) if len(varying) else 0
        return _line(x_points[:, column], y_points[:, column], *weights)
    keys = [(row.tobytes() for row in side + 0.0) for side in (x_points, y_points)]
    mass = net(keys[0], keys[1], *weights)
    if not mass.moved:
        return Transport(0.0, 0.0, 0.0, np.zeros(len(x)), np.zeros(len(y)))
    # Far points that cancel do not count for the scale, which the solver's tolerance goes by.
    left = np.concatenate([x_points[mass.sources], y_points[mass.sinks]])
    power = math.frexp(float(np.ptp(left, axis=0).max()))[1]
    best, reach = _solved(x_points, y_points, mass, norm, power)
    while best.width > TIGHT and math.frexp(4 * reach)[1] < power:
        # Mass moves far less than the points are apart: with costs cut off beyond what the plan
        # uses, still a metric below the ground's, the solver's tolerance means less.
        power = math.frexp(4 * reach)[1]
        found, reach = _solved(x_points, y_points, mass, norm, power, cut=True)
        if found.width >= best.width:
            break
        best = found
    return best


def _binary64(x: Rows, y: Rows) -> tuple[Array, Array]:
    """Points [n, d] and [m, d], less a common number where binary64 would round them."""
    whole_rows = [np.asarray(rows[:]) for rows in (x, y)]
    (p, p_rest), (q, q_rest) = (parts(rows.reshape(len(rows), -1)) for rows in whole_rows)
    if p_rest is not None or q_rest is not None:
        (p, p_lost), (q, q_lost) = (moved(p, p_rest, p[0]), moved(q, q_rest, p[0]))
        if p_lost is not None or q_lost is not None:
            raise LipsortError("exact transport: binary64 would round the samples")
    return p, q


def _line(x: Array, y: Array, a: list[int], b: list[int]) -> Transport:
    value, dual_x, potential_y = on_a_line(x, y, a, b)
    if not dual_x.any() and not potential_y.any():  # the measures are the same
        return Transport(0.0, 0.0, 0.0, dual_x, potential_y)
    slack = 8 * UNIT * value + (len(x) + len(y)) * 2.0**-1074
    return Transport(value, value + slack, max(0.0, value - slack), dual_x, -potential_y)


def _solved(
    x: Array, y: Array, mass: Net, norm: str, power: int, *, cut: bool = False
) -> tuple[Transport, float]:
    """The transport of ``mass``, of points scaled by 2^-power, and its longest move.

    ``cut``: where distances beyond 1 count as 1. What is 1-Lipschitz then is so without, and the
    plan's cost is summed without.
    """
    import ot

    def bounded(points: Array, others: Array) -> Array:
        found = costs(points, others, norm)
        return np.minimum(found, 1.0) if cut else found

    p, q = np.ldexp(x, -power), np.ldexp(y, -power)
    sources, sinks = p[mass.sources], q[mass.sinks]
    cost = bounded(sources, sinks)
    supply, demand = mass.floats()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # non-convergence shows in the gap of the two bounds
        # The solver wants equal sums.
        plan, log = ot.emd(
            supply, demand * (supply.sum() / demand.sum()), cost, numItermax=10_000_000, log=True
        )
    # Any v gives a bound; about 0 it is rounded least in what is added to it.
    v = np.asarray(log["v"])
    v = v - np.median(v)
    error = 2 * (p.shape[1] + 8) * UNIT
    i, j, flow = (list(part) for part in zip(*coupled(plan, mass.supply, mass.demand), strict=True))
    moves = costs(sources, sinks, norm)[i, j] if cut else cost[i, j]
    value = math.fsum(np.array([f / mass.unit for f in flow]) * moves)
    upper = value * (1 + error) + TINY
    lower = _dual_value(cost, bounded(sinks, sinks), v, mass, error)
    dual_x, dual_y = (
        np.concatenate([(bounded(side[k : k + 4096], sinks) - v).min(1)
                        for k in range(0, len(side), 4096)])
        for side in (p, q)
    )  # fmt: skip
    try:
        return Transport(
            math.ldexp(value, power),
            math.nextafter(math.ldexp(upper, power), math.inf),
            math.nextafter(math.ldexp(lower, power), 0.0),
            np.ldexp(dual_x, power),
            np.ldexp(-dual_y, power),
        ), math.ldexp(float(moves.max()), power)
    except OverflowError:
        raise LipsortError(_INFINITE) from None


def _dual_value(cost: Array, among: Array, v: Array, mass: Net, error: float) -> float:
    """Proven lower bound from f(z) = min_t d(z, t) - v_t, which is 1-Lipschitz whatever v is.

    ``cost`` [n, m] is from the sources, ``among`` [m, m] from the sinks themselves, both right up
    to ``error``, relatively: so f is at least what costs rounded down give, and at most what costs
    rounded up give. Each of these, and each mass, is rounded a few times more.
    """
    low, high = (cost * (1 - error) - v).min(1), (among * (1 + error) - v).min(1)
    supply, demand = (
        np.array([m / mass.unit for m in side]) for side in (mass.supply, mass.demand)
    )
    gain = math.fsum(supply * low) - math.fsum(demand * high)
    size = math.fsum(supply * np.abs(low)) + math.fsum(demand * np.abs(high))
    return max(0.0, gain - 8 * UNIT * size - TINY)


def coupling_cost(plan: Array, cost: Array, a: Array, b: Array, dim: int) -> float:
    """Proven upper bound of W1 from any plan >= 0 [n, m], marginals not needed to fit exactly.

    All terms are non-negative, so a sum of k of them errs by at most k u, relatively; the row
    and column sums of the plan err by at most (n + m) u of its mass, the weights by 4 u. What the
    plan leaves of the marginals may go anywhere, at the largest cost (Altschuler et al., 2017).
    """
    n, m = plan.shape
    plan = np.maximum(plan, 0)
    rows, columns = plan.sum(1), plan.sum(0)
    slack = 2 * (n + m + 8) * UNIT * (float(rows.sum()) + 1)
    residual = float(np.abs(rows - a).sum() + np.abs(columns - b).sum()) + slack
    growth = 1 + 2 * (n * m + n + m + dim + 8) * UNIT
    return (float(np.vdot(plan, cost)) + residual * float(cost.max())) * growth + TINY


class Block(NamedTuple):
    """Rows of both samples, with the mass each puts into this block."""

    x_rows: NDArray[np.int64]
    x_mass: Array
    y_rows: NDArray[np.int64]
    y_mass: Array


def _pieces(order: NDArray[np.int64], weights: Array, blocks: int) -> list[tuple[NDArray, Array]]:
    """Cut the atoms, in ``order``, at the masses k / blocks; an atom may be cut in two."""
    ends = np.cumsum(weights[order])
    starts = np.concatenate([[0.0], ends[:-1]])
    cuts = np.linspace(0.0, ends[-1], blocks + 1)
    pieces = []
    for low, high in itertools.pairwise(cuts):
        first = int(np.searchsorted(ends, low, side="right"))
        last = int(np.searchsorted(starts, high, side="left"))
        mass = np.minimum(ends[first:last], high) - np.maximum(starts[first:last], low)
        keep = mass > 0
        pieces.append((order[first:last][keep], mass[keep]))
    return pieces


def random_blocks(a: Array, b: Array, size: int, rng: np.random.Generator) -> Iterator[Block]:
    """Blocks of at most about ``size`` rows a side, of equal mass on both sides."""
    blocks = max(1, math.ceil(max(len(a), len(b)) / size))
    x_pieces = _pieces(rng.permutation(len(a)), a, blocks)
    y_pieces = _pieces(rng.permutation(len(b)), b, blocks)
    for (x_rows, x_mass), (y_rows, y_mass) in zip(x_pieces, y_pieces, strict=True):
        yield Block(x_rows, x_mass, y_rows, y_mass)


def digests(rows: Rows) -> list[bytes]:
    """A digest of every row: equal for equal rows."""
    return [
        blake2b(row.tobytes(), digest_size=32).digest()
        for piece in _pieces_of(rows)
        for row in piece
    ]


def blocked_upper(
    x: Rows,
    y: Rows,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    *,
    norm: str = "l2",
    size: int = 2000,
    rng: np.random.Generator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> float:
    """Proven upper bound of W1 for samples too large for one transport problem.

    What both samples share is cancelled; the rest is cut at random into blocks of equal mass
    (weights and unequal sizes are cut within an atom where need be); the optimal couplings of the
    blocks make one coupling. Rows are read block by block, so ``x`` and ``y`` may lie on disk.
    """
    import ot

    rng = rng or np.random.default_rng(0)
    mass = net(digests(x), digests(y), whole(x_weights, len(x)), whole(y_weights, len(y)))
    if not mass.moved:
        return 0.0
    power = math.frexp(_extent(x, y, mass))[1]
    a, b = mass.floats()
    dim = int(np.prod(np.shape(x)[1:], dtype=int))
    blocks = max(1, math.ceil(max(len(a), len(b)) / size))
    total = 0.0
    for done, block in enumerate(random_blocks(a, b, size, rng), start=1):
        if len(block.x_rows) and len(block.y_rows):
            xs, ys = (
                np.ldexp(np.concatenate([*_pieces_of(rows, index[np.sort(chosen)])]), -power)
                for rows, index, chosen in (
                    (x, mass.sources, block.x_rows),
                    (y, mass.sinks, block.y_rows),
                )
            )
            p = block.x_mass[np.argsort(block.x_rows)]
            q = block.y_mass[np.argsort(block.y_rows)]
            cost = costs(xs, ys, norm)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                plan = ot.emd(p, q * (p.sum() / q.sum()), cost, numItermax=10_000_000)
            total += coupling_cost(plan, cost, p, q, dim)
        if progress is not None:
            progress(done, blocks)
    # Each atom's pieces sum to its weight up to three roundings; that mass may go anywhere, and an
    # atom so light may be in no block. Scaled coordinates are within 1 of the origin's.
    reach = 2.0 * {"l2": math.sqrt(dim), "l1": dim, "linf": 1.0}[norm]
    stray = 8 * (len(a) + len(b) + 2 * blocks) * UNIT
    bound = (total + stray * reach) * (1 + 4 * (blocks + dim + 10) * UNIT)
    # Neither the share nor what it is multiplied by need be large enough for a float by itself.
    return math.nextafter(float(Fraction(bound) * mass.share * Fraction(2) ** power), math.inf)


def _extent(x: Rows, y: Rows, mass: Net) -> float:
    """How far coordinates of what is moved are from the first point's, at most.

    Raises:
        LipsortError: it is not finite.
    """
    origin = next(_pieces_of(x, mass.sources[:1]))
    with np.errstate(over="ignore"):
        extent = max(
            float(np.abs(piece - origin).max())
            for rows, index in ((x, mass.sources), (y, mass.sinks))
            for piece in _pieces_of(rows, index)
        )
    if not math.isfinite(extent):
        raise LipsortError(_INFINITE)
    return extent


def _pieces_of(rows: Rows, index: NDArray[np.int64] | None = None) -> Iterator[Array]:
    """Rows [k, d], all or those of ``index``, as binary64, some at a time; no zero is negative."""
    for start in range(0, len(rows) if index is None else len(index), 4096):
        chosen = slice(start, start + 4096)
        piece = np.asarray(rows[chosen if index is None else index[chosen]])
        yield as_binary64(piece).reshape(len(piece), -1) + 0.0
