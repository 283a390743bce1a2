"""Rational data that only the steepest 1-Lipschitz functions take."""

from __future__ import annotations

import random
from fractions import Fraction

from lipsort_cli.theory.exact import Vector


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
    square = sum((v * v for v in step), Fraction(0))
    root = Fraction(int(float(square) ** 0.5 * (1 - 1e-4) * 10**6), 10**6)
    while root * root > square:
        root -= Fraction(1, 10**6)
    return root
