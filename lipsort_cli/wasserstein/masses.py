"""Masses in whole numbers: what two samples share cancels, and what is left is moved exactly.

W1 depends on the difference of the measures alone (Kantorovich and Rubinstein), so mass that both
put on one point stays there. Weights w_i / sum w are rational; in units of 1 / (sum a * sum b) they
are integers, and no sum of them is rounded.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Net(NamedTuple):
    """What has to be moved: ``sources`` (rows of x) hold more than y does, ``sinks`` (of y) less.

    Masses are integers; ``moved`` is their sum on either side, ``unit`` that of a whole measure.
    """

    sources: NDArray[np.int64]
    supply: list[int]
    sinks: NDArray[np.int64]
    demand: list[int]
    moved: int
    unit: int

    @property
    def share(self) -> Fraction:
        """The share of the mass that is moved."""
        return Fraction(self.moved, self.unit)

    def floats(self) -> tuple[Array, Array]:
        """Supply and demand as shares of what is moved, each rounded to the nearest."""
        supply, demand = (
            np.array([mass / self.moved for mass in side]) for side in (self.supply, self.demand)
        )
        return supply, demand


def whole(weights: Array | None, count: int) -> list[int]:
    """Weights [count] as integers in the same ratios; ones for None."""
    if weights is None:
        return [1] * count
    ratios = [float(weight).as_integer_ratio() for weight in weights]
    unit = max(below for _, below in ratios)  # powers of two divide each other
    return [above * (unit // below) for above, below in ratios]


def in_one_unit(a: Sequence[int], b: Sequence[int]) -> tuple[list[int], list[int], int]:
    """Weights of two measures in one unit, and what a whole measure has of it."""
    first, second = sum(a), sum(b)
    return [mass * second for mass in a], [mass * first for mass in b], first * second


def net(
    x_keys: Iterable[bytes], y_keys: Iterable[bytes], x_weights: list[int], y_weights: list[int]
) -> Net:
    """Cancel what both measures put on points of equal keys."""
    a, b, unit = in_one_unit(x_weights, y_weights)
    found: dict[bytes, list[int]] = {}
    for side, keys, masses in ((0, x_keys, a), (1, y_keys, b)):
        for row, (key, mass) in enumerate(zip(keys, masses, strict=True)):
            atom = found.setdefault(key, [0, -1, -1])
            atom[0] += -mass if side else mass
            if atom[1 + side] < 0:
                atom[1 + side] = row
    sources = sorted((atom[1], atom[0]) for atom in found.values() if atom[0] > 0)
    sinks = sorted((atom[2], -atom[0]) for atom in found.values() if atom[0] < 0)
    return Net(
        np.array([row for row, _ in sources], np.int64),
        [mass for _, mass in sources],
        np.array([row for row, _ in sinks], np.int64),
        [mass for _, mass in sinks],
        sum(mass for _, mass in sources),
        unit,
    )


def coupled(plan: Array, supply: list[int], demand: list[int]) -> list[tuple[int, int, int]]:
    """A coupling in integers along the edges that ``plan`` [n, m] uses: (i, j, mass).

    The edges of a basic solution are a forest, on which the masses leave one choice only: leaf by
    leaf. What a wrong or rounded plan leaves over is moved from anywhere to anywhere.
    """
    left = [*supply, *demand]
    n = len(supply)
    edges: list[set[int]] = [set() for _ in left]
    for i, j in zip(*(index.tolist() for index in np.nonzero(plan > 0)), strict=True):
        edges[i].add(n + j)
        edges[n + j].add(i)
    flows: list[tuple[int, int, int]] = []

    def move(one: int, other: int) -> None:
        mass = min(left[one], left[other])
        left[one] -= mass
        left[other] -= mass
        if mass:
            flows.append((min(one, other), max(one, other) - n, mass))

    leaves = deque(node for node, near in enumerate(edges) if len(near) == 1)
    rest = deque(range(n))
    while leaves or rest:
        if not leaves:  # a cycle: any of its edges may go first
            node = rest[0]
            if not edges[node]:
                rest.popleft()
                continue
        else:
            node = leaves.popleft()
            if not edges[node]:
                continue
        other = edges[node].pop()
        edges[other].discard(node)
        move(node, other)
        leaves.extend(end for end in (node, other) if len(edges[end]) == 1)
    full = deque(j for j in range(n, len(left)) if left[j])
    for i in range(n):
        while left[i] and full:
            move(i, full[0])
            if not left[full[0]]:
                full.popleft()
    return flows


def on_a_line(
    x: Array, y: Array, x_weights: list[int], y_weights: list[int]
) -> tuple[float, Array, Array]:
    """W1 of measures on the line, x [n] and y [m], and a potential at their points.

    W1 = integral |F - G|: between neighbouring points, the difference of the masses to the left
    (integers) times the gap, one quotient of integers: a share alone may be too small for a float.
    All terms are non-negative: the value errs by 4 u, relatively, and by 2^-1074 a term.
    """
    a, b, unit = in_one_unit(x_weights, y_weights)
    places, inverse = np.unique(np.concatenate([x, y]), return_inverse=True)
    masses = [0] * len(places)
    for place, mass in zip(inverse.tolist(), [*a, *(-mass for mass in b)], strict=True):
        masses[place] += mass
    gaps = np.diff(places)
    terms, slopes, ahead = [], np.zeros(len(gaps)), 0
    for k, gap in enumerate(gaps.tolist()):
        ahead += masses[k]
        above, below = gap.as_integer_ratio()
        terms.append(abs(ahead) * above / (unit * below))
        slopes[k] = (ahead > 0) - (ahead < 0)
    potential = -np.concatenate([[0.0], np.cumsum(slopes * gaps)])[inverse]
    return math.fsum(terms), potential[: len(x)], potential[len(x) :]
