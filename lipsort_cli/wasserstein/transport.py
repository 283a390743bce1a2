"""Exact transport between weighted samples, and valid upper bounds beyond its reach.

Upper bounds here are *proven*: a coupling's cost is summed with every rounding error on the safe
side, and what the solver left of the marginals is paid at the largest cost.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.errors import LipsortError

Array = NDArray[np.float64]

METRICS = {"l2": "euclidean", "linf": "chebyshev", "l1": "cityblock"}
UNIT = 2.0**-53


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
    lower bound (the value of feasible duals, rounded down). ``dual_x`` [n] and ``dual_y`` [m]
    are the solver's: dual_x[i] + dual_y[j] <= cost[i, j] up to its tolerance.
    """

    value: float
    upper: float
    lower: float
    dual_x: Array
    dual_y: Array


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
    distances: Array = cdist(*points, METRICS[norm])
    return distances


def exact_transport(
    x: Rows,
    y: Rows,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    *,
    norm: str = "l2",
) -> Transport:
    """W1 between two weighted samples x [n, ...] and y [m, ...], by network simplex.

    W1 = min { sum G_ij c_ij : G >= 0, G 1 = a, G' 1 = b }, solved by POT (Bonneel et al., 2011).
    The proven bounds do not rely on the solver: any G >= 0 can be repaired to a coupling by
    moving at most ||G 1 - a||_1 + ||G' 1 - b||_1 of mass (Altschuler et al., 2017), each unit
    at no more than max c; any u becomes feasible with its c-transform.
    """
    cost = costs(x, y, norm)
    dim = int(np.prod(np.shape(x)[1:], dtype=int))
    return solve(cost, normalised(x_weights, len(x)), normalised(y_weights, len(y)), dim)


def solve(cost: Array, a: Array, b: Array, dim: int) -> Transport:
    """As :func:`exact_transport`, of distances [n, m] between points of ``dim`` coordinates."""
    import ot

    if not np.isfinite(cost).all():
        raise LipsortError("exact transport: a distance between samples is not finite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # non-convergence shows in the gap of the two bounds
        # The solver wants equal sums.
        plan, log = ot.emd(a, b * (a.sum() / b.sum()), cost, numItermax=10_000_000, log=True)
    value = float(np.vdot(plan, cost))
    upper = coupling_cost(plan, cost, a, b, dim)
    u, v = np.asarray(log["u"]), np.asarray(log["v"])
    return Transport(value, upper, dual_value(u, cost, a, b, dim), u, v)


def coupling_cost(plan: Array, cost: Array, a: Array, b: Array, dim: int) -> float:
    """Proven upper bound of W1 from any plan >= 0 [n, m], marginals not needed to fit exactly.

    All terms are non-negative, so a sum of k of them errs by at most k u, relatively; the row
    and column sums of the plan err by at most (n + m) u of its mass, the weights by 4 u.
    """
    n, m = plan.shape
    plan = np.maximum(plan, 0)
    rows, columns = plan.sum(1), plan.sum(0)
    slack = 2 * (n + m + 8) * UNIT * (float(rows.sum()) + 1)
    residual = float(np.abs(rows - a).sum() + np.abs(columns - b).sum()) + slack
    growth = 1 + 2 * (n * m + n + m + dim + 8) * UNIT
    return (float(np.vdot(plan, cost)) + residual * float(cost.max())) * growth


def dual_value(u: Array, cost: Array, a: Array, b: Array, dim: int) -> float:
    """Proven lower bound of W1 from any potential u [n] on the first sample.

    The c-transform v_j = min_i c_ij - u_i makes (u, v) feasible whatever u is, so
    sum a u + sum b v is a lower bound; rounding errors of its parts are taken off.
    """
    v = (cost - u[:, None]).min(0)
    size = float(np.abs(u).max() + np.abs(v).max() + cost.max())
    return math.fsum(a * u) + math.fsum(b * v) - 4 * (dim + 8) * UNIT * size


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

    Both samples are cut at random into blocks of equal mass (weights and unequal sizes are cut
    within an atom where need be); the optimal couplings of the blocks make one coupling. Rows
    are read block by block, so ``x`` and ``y`` may be memory-mapped.
    """
    import ot

    rng = rng or np.random.default_rng(0)
    a, b = normalised(x_weights, len(x)), normalised(y_weights, len(y))
    dim = int(np.prod(np.shape(x)[1:], dtype=int))
    blocks = max(1, math.ceil(max(len(a), len(b)) / size))
    total = 0.0
    reach = 0.0
    origin = np.asarray(x[:1], dtype=np.float64)
    for done, block in enumerate(random_blocks(a, b, size, rng), start=1):
        if len(block.x_rows) and len(block.y_rows):
            xs, ys = x[np.sort(block.x_rows)], y[np.sort(block.y_rows)]
            p = block.x_mass[np.argsort(block.x_rows)]
            q = block.y_mass[np.argsort(block.y_rows)]
            cost = costs(xs, ys, norm)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                plan = ot.emd(p, q * (p.sum() / q.sum()), cost, numItermax=10_000_000)
            total += coupling_cost(plan, cost, p, q, dim)
            reach = max(
                reach,
                float(costs(xs, origin, norm).max() + costs(ys, origin, norm).max()),
            )
        if progress is not None:
            progress(done, blocks)
    # Each atom's pieces sum to its weight up to three roundings; that mass may go anywhere.
    stray = 8 * (len(a) + len(b) + 2 * blocks) * UNIT
    return (total + stray * reach) * (1 + 4 * (blocks + dim + 8) * UNIT)
