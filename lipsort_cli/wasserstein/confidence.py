"""Confidence bounds for the mean of independent values in a known interval.

Each bound takes values in [low, high], fixed before they were seen, and errs with probability at
most ``alpha``. Nothing is assumed of their distribution. Rounding is on the safe side.

Values that are known up to ``error`` each, such as those of a function evaluated in floating point,
are independent values x_i of which computed ones x~_i are at hand, |x_i - x~_i| <= error. The bound
is then below what the x_i themselves would give (Hoeffding, Bernstein), or a bound by the same
argument (betting); how the error enters is different for each and said there. Taking ``error`` off
the bound of the x~_i would be right for Hoeffding's alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.errors import LipsortError

Array = NDArray[np.float64]

_UNIT = 2.0**-53


def _to_unit(values: Array, low: float, high: float, error: float) -> tuple[Array, float]:
    """Values [n] mapped to [0, 1] and the error of each there, the mapping's rounding included."""
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise LipsortError("a confidence bound needs at least one value; found none")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise LipsortError(f"a confidence bound needs low < high, both finite; found {low}, {high}")
    if not (np.isfinite(values).all() and values.min() >= low and values.max() <= high):
        raise LipsortError(f"a confidence bound needs values in [{low}, {high}]")
    if not error >= 0:
        raise LipsortError(f"a confidence bound needs an error of at least 0; found {error}")
    width = high - low
    # x - low and high - low are rounded once each, and so is what is divided.
    own = 4 * _UNIT * (1 + (abs(low) + abs(high)) / width)
    return np.clip((values - low) / width, 0.0, 1.0), error / width * (1 + 2.0**-40) + own


def _from_unit(bound: float, low: float, high: float) -> float:
    """Back from [0, 1], a few roundings below; never under the trivial bound ``low``."""
    scale = max(abs(low), abs(high), high - low)
    return max(low, low + bound * (high - low) - 16 * _UNIT * scale)


def hoeffding(values: Array, low: float, high: float, alpha: float, error: float = 0.0) -> float:
    """Lower bound mean - (high - low) sqrt(ln(1 / alpha) / (2 n)) (Hoeffding, 1963).

    The mean moves by at most ``error`` where every value does.
    """
    unit, error = _to_unit(values, low, high, error)
    width = math.sqrt(math.log(1 / alpha) / (2 * len(unit)))
    # fmean's sum is correctly rounded: the division is its only other rounding.
    return _from_unit(fmean(unit) - error - width, low, high)


def empirical_bernstein(
    values: Array, low: float, high: float, alpha: float, error: float = 0.0
) -> float:
    """Lower bound by the sample variance V (Maurer and Pontil, 2009, theorem 4).

    On [0, 1]: mean - sqrt(2 V ln(2 / alpha) / n) - 7 ln(2 / alpha) / (3 (n - 1)).

    sqrt(V) = ||P x||_2 / sqrt(n - 1) with the projection P = I - 1 1' / n. Values that each move by
    e move x by at most sqrt(n) e in L2, and P lengthens nothing: sqrt(V) moves by at most
    sqrt(n / (n - 1)) e, besides the mean's e.
    """
    unit, error = _to_unit(values, low, high, error)
    n = len(unit)
    if n < 2:
        return low
    term = math.log(2 / alpha)
    mean = fmean(unit)
    # Squares of non-negative sum: n roundings, relatively; the mean's own only lengthens.
    deviation = math.sqrt(math.fsum(np.square(unit - mean)) / (n - 1)) * (1 + 2.0**-48)
    deviation += (error + 4 * _UNIT) * math.sqrt(n / (n - 1)) * (1 + 2.0**-48)
    width = deviation * math.sqrt(2 * term / n) + 7 * term / (3 * (n - 1))
    return _from_unit(mean - error - width, low, high)


def betting(values: Array, low: float, high: float, alpha: float, error: float = 0.0) -> float:
    """Lower bound by a betting test (Waudby-Smith and Ramdas, 2024, predictable plug-in bets).

    For values x_i in [0, 1] of mean mu, the capital K(m) = prod_i (1 + l_i(m) (x_i - m)), whose
    bets l_i(m) = min(l_i, c / m) >= 0 depend on earlier values only, is at m = mu a
    martingale >= 0 that starts at 1. So P(K(mu) >= 1 / alpha) <= alpha (Markov). Every factor
    decreases in m, so {m : K(m) >= 1 / alpha} is an interval [0, m*), and m* is the bound:
    found by bisection, with log K lowered by its rounding error.

    Of values known up to e the bets are taken from the computed x~_1, ..., x~_(i-1): they are
    functions of earlier points as well, so that K(m) with these bets and the true x_i is as much of
    a martingale. As bets are not negative, x_i >= max(0, x~_i - e) makes
    K~(m) = prod_i (1 + l_i(m) (max(0, x~_i - e) - m)) at most K(m), and K~(mu) >= 1 / alpha at most
    as likely. Bets of the true values would be others; neither bound is above the other for
    certain, and taking e off at the end would prove nothing.
    """
    x, error = _to_unit(values, low, high, error)
    n = len(x)
    threshold = math.log(1 / alpha)
    count = np.arange(1, n + 1)
    # Plug-in mean and variance of the values before each one, with half a value 1/2 as a prior.
    mean = (0.5 + np.cumsum(x)) / (count + 1)
    spread = (0.25 + np.cumsum((x - mean) ** 2)) / (count + 1)
    before = np.concatenate([[0.25], spread[:-1]])
    bets = np.sqrt(2 * threshold / (before * n))
    least = np.maximum(x - error, 0.0)

    def wins(m: float) -> bool:
        """log K~(m) - its rounding error >= log(1 / alpha)."""
        terms = np.log1p(np.minimum(bets, 0.75 / m) * (least - m))
        # Each factor is at least 1/4: its relative error is below 32 u; log1p is good to 2 ulp.
        lost = _UNIT * (64 * n + 8 * float(np.abs(terms).sum()))
        return math.fsum(terms) - lost >= threshold

    lower, upper = 0.0, 1.0
    for _ in range(60):
        middle = (lower + upper) / 2
        if wins(middle):
            lower = middle
        else:
            upper = middle
        if upper - lower < 1e-12:
            break
    return _from_unit(lower, low, high)


BOUNDS: dict[str, Callable[..., float]] = {
    "betting": betting,
    "bernstein": empirical_bernstein,
    "hoeffding": hoeffding,
}
"""Lower bounds of a mean, by name, tightest first."""


def paired_differences(
    first: Array, second: Array, low: float, high: float
) -> tuple[Array, float, float]:
    """Independent values whose mean is E first - E second, and their interval.

    ``first`` [n] and ``second`` [m] are independent samples, all values clipped to [low, high].
    Of the larger one, floor(n / m) values are averaged for each of the smaller, so that min(n, m)
    independent differences in [low - high, high - low] use (nearly) all values. One paired test
    is tighter than two one-sided tests with half of alpha each. Values that are off by e and e',
    before or after they are clipped, move every difference by at most e + e' and its rounding,
    2^-46 of the interval's size.
    """
    u = np.clip(np.asarray(first, dtype=np.float64), low, high)
    v = np.clip(np.asarray(second, dtype=np.float64), low, high)
    count = min(len(u), len(v))
    if not count:
        raise LipsortError("a confidence bound needs samples of both sides; one side has none")
    groups = [a[: len(a) // count * count].reshape(count, -1).mean(1) for a in (u, v)]
    span = (high - low) * (1 + 2.0**-50)
    return groups[0] - groups[1], -span, span


def transport_upper(
    empirical: float, diameters: tuple[float, float], sizes: tuple[int, int], alpha: float
) -> float:
    """Upper bound of W1(P, Q), with confidence 1 - alpha, from empirical transport.

    W1 is jointly convex, so E W1(P_n, Q_m) >= W1(P, Q). Replacing one of the n points of P
    changes W1(P_n, Q_m) by at most diam(P) / n, likewise for Q, so by McDiarmid's inequality

        W1(P, Q) <= W1(P_n, Q_m)
                    + sqrt((diam(P)^2 / n + diam(Q)^2 / m) ln(1 / alpha) / 2).
    """
    variance = sum(d * d / n for d, n in zip(diameters, sizes, strict=True))
    return (empirical + math.sqrt(variance * math.log(1 / alpha) / 2)) * (1 + 2.0**-48)
