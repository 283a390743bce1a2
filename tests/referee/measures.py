"""Trials of Wasserstein bounds: tiny measures whose distance is known in rational numbers."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, permutations

import adapter
import numpy as np
from exact_arithmetic import EXACT, from_fraction, precisely
from flint import arb
from networks import draw_network
from tally import Tally
from trials import build, describe, norm_of


def try_measures(rng: np.random.Generator, tally: Tally, op: str = "") -> None:
    """A critic with one output, and measures on a line or of few points: W1 is never exceeded."""
    drawing = draw_network(rng, op, extreme=bool(rng.random() < 0.3))
    if drawing.classes != 1:
        return
    try:
        network = build(drawing)
    except adapter.Refused:
        tally.refuse(drawing.operations())
        return
    size = int(np.prod(drawing.input_shape))
    norm = str(rng.choice(adapter.NORMS))
    x, y, weights = _draw(rng, size)
    try:
        bound = adapter.wasserstein(network, x, y, *weights, norm)
    except adapter.Refused:
        tally.refuse(drawing.operations())
        return
    with precisely():
        truth = distance(x, y, weights, norm)
        ratio = 0.0 if bound == 0 else float((arb(bound) / truth).lower())
        wrong = bool(truth < arb(bound))
    tally.count(drawing.operations(), 1, ratio)
    if wrong:
        tally.violate(f"{norm} bound {bound!r} of W1 {float(truth)!r}: {describe(drawing)}")


Weights = tuple[np.ndarray | None, np.ndarray | None]


def _draw(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, Weights]:
    """Samples on a line parallel to an axis, at times weighted; or two equal small numbers."""
    scale = 10.0 ** rng.uniform(-6, 4)
    line = bool(rng.random() < 0.6)
    if not line:
        count = int(rng.integers(1, 5))
        x, y = rng.standard_normal((2, count, size)) * scale
        return x, y, (None, None)
    counts = rng.integers(1, 6, 2)
    base, axis = rng.standard_normal(size), int(rng.integers(size))
    sides = []
    for count in counts:
        points = np.tile(base, (count, 1))
        tied = rng.random() < 0.5
        points[:, axis] = rng.integers(-2, 3, count) if tied else rng.standard_normal(count)
        points[:, axis] *= scale
        sides.append(points)
    weights: list[np.ndarray | None] = [None, None]
    for side in (0, 1):
        if rng.random() < 0.5:
            drawn = rng.random(counts[side]) * rng.choice([0.0, 1.0, 1e-9, 1e9], counts[side])
            drawn[0] = 1.0
            weights[side] = drawn
    return sides[0], sides[1], (weights[0], weights[1])


def distance(x: np.ndarray, y: np.ndarray, weights: Weights, norm: str) -> arb:
    """W1 in ``norm``: rational on a line, by enumeration of couplings of few uniform points."""
    moving = [k for k in range(x.shape[1]) if len({*x[:, k].tolist(), *y[:, k].tolist()}) > 1]
    if len(moving) <= 1:
        axis = moving[0] if moving else 0
        return from_fraction(on_a_line(x[:, axis], y[:, axis], *weights))
    assert weights == (None, None) and len(x) == len(y)
    first, second = EXACT.take(x), EXACT.take(y)
    cost = [[norm_of(a - b, norm) for b in second] for a in first]
    sums = [
        sum((cost[i][j] for i, j in enumerate(order)), arb(0)) / len(x)
        for order in permutations(range(len(x)))
    ]
    least = sums[0]
    for value in sums:
        least = least.min(value)
    return least


def on_a_line(
    x: np.ndarray, y: np.ndarray, x_weights: np.ndarray | None, y_weights: np.ndarray | None
) -> Fraction:
    """The integral of |F - G| over the line, in rational numbers."""
    jumps: dict[Fraction, Fraction] = {}
    for sign, points, given in ((1, x, x_weights), (-1, y, y_weights)):
        mass = [Fraction(1)] * len(points) if given is None else [Fraction(float(w)) for w in given]
        total = sum(mass, Fraction(0))
        for place, weight in zip(points, mass, strict=True):
            at = Fraction(float(place))
            jumps[at] = jumps.get(at, Fraction(0)) + sign * weight / total
    places, height, area = sorted(jumps), Fraction(0), Fraction(0)
    for left, right in pairwise(places):
        height += jumps[left]
        area += abs(height) * (right - left)
    return area
