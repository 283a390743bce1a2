"""Coverage of confidence bounds by enumeration: every sample that can be drawn, with its chance.

A lower bound may exceed the mean with probability at most alpha, whatever the distribution. For
values on a few points all samples are listed and their probabilities added up in rational numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from math import comb, prod

import numpy as np
from tally import Tally

from lipsort_cli.wasserstein.confidence import BOUNDS, paired_differences, transport_upper

ALPHAS = (0.5, 0.2, 0.05, 0.001)
LowerBound = Callable[[np.ndarray, float, float, float], float]


def _chances(count: int, steps: int) -> list[tuple[Fraction, ...]]:
    """Distributions over ``count`` points, on a grid and near its corners."""
    found = [
        tuple(Fraction(part, steps) for part in parts)
        for parts in product(range(steps + 1), repeat=count)
        if sum(parts) == steps
    ]
    tiny = Fraction(1, 50)
    corner = (1 - tiny, *[tiny / (count - 1)] * (count - 1))
    return [*found, corner, corner[::-1]]


def try_means(tally: Tally, size: int = 8, points: tuple[float, ...] = (0.0, 1.0)) -> None:
    """Each lower bound of a mean, over every sample of ``size`` values among ``points``."""
    samples = list(product(range(len(points)), repeat=size))
    support = np.array(points)
    for name, bound in BOUNDS.items():
        for alpha in ALPHAS:
            found = [
                Fraction(bound(support[list(sample)], points[0], points[-1], alpha))
                for sample in samples
            ]
            for chances in _chances(len(points), 8 if len(points) == 2 else 4):
                mean = sum(p * Fraction(v) for p, v in zip(chances, points, strict=True))
                wrong = sum(
                    (
                        prod((chances[k] for k in sample), start=Fraction(1))
                        for sample, value in zip(samples, found, strict=True)
                        if value > mean
                    ),
                    Fraction(0),
                )
                _judge(tally, f"{name}", wrong, alpha, len(samples))


def try_pairs(tally: Tally, sizes: tuple[int, int] = (4, 6)) -> None:
    """The paired test of two samples of zeros and ones, over all pairs of samples."""
    first, second = (list(product((0.0, 1.0), repeat=size)) for size in sizes)
    for name, bound in BOUNDS.items():
        for alpha in ALPHAS[1:3]:
            wrong = {(u, v): Fraction(_paired(bound, u, v, alpha)) for u in first for v in second}
            for p, q in product([Fraction(1, 10), Fraction(1, 2), Fraction(49, 50)], repeat=2):
                chance = sum(
                    (
                        _chance(u, p) * _chance(v, q)
                        for (u, v), value in wrong.items()
                        if value > p - q
                    ),
                    Fraction(0),
                )
                _judge(tally, f"{name}, paired", chance, alpha, len(wrong))


def _paired(bound: LowerBound, u: tuple[float, ...], v: tuple[float, ...], alpha: float) -> float:
    values, low, high = paired_differences(np.array(u), np.array(v), 0.0, 1.0)
    return bound(values, low, high, alpha)


def _chance(sample: tuple[float, ...], p: Fraction) -> Fraction:
    ones = int(sum(sample))
    return p**ones * (1 - p) ** (len(sample) - ones)


def try_upper(tally: Tally, sizes: tuple[int, int] = (12, 20)) -> None:
    """The upper bound from empirical transport, over all counts of ones in two samples."""
    n, m = sizes
    for alpha in ALPHAS:
        for p, q in product([Fraction(k, 10) for k in range(11)], repeat=2):
            chance = Fraction(0)
            for a, b in product(range(n + 1), range(m + 1)):
                bound = transport_upper(abs(a / n - b / m), (1.0, 1.0), sizes, alpha)
                if Fraction(bound) < abs(p - q):
                    first = comb(n, a) * p**a * (1 - p) ** (n - a)
                    chance += first * comb(m, b) * q**b * (1 - q) ** (m - b)
            _judge(tally, "transport, upper", chance, alpha, (n + 1) * (m + 1))


def _judge(tally: Tally, name: str, wrong: Fraction, alpha: float, samples: int) -> None:
    tally.count([name], samples, float(wrong / Fraction(alpha)))
    if wrong > Fraction(alpha):
        tally.violate(f"{name}: wrong with probability {float(wrong):.6g}, alpha is {alpha}")
