"""Confidence bounds err at most as often as they say, and are as tight as they should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from lipsort_cli.errors import LipsortError
from lipsort_cli.wasserstein.confidence import (
    BOUNDS,
    betting,
    hoeffding,
    paired_differences,
    transport_upper,
)

REPETITIONS = 1000
ALPHA = 0.1
SAMPLERS = {
    "bernoulli": (lambda rng, n: (rng.random(n) < 0.3).astype(float), 0.3),
    "rare": (lambda rng, n: (rng.random(n) < 0.01).astype(float), 0.01),
    "beta": (lambda rng, n: rng.beta(2.0, 6.0, n), 0.25),
    "constant": (lambda rng, n: np.full(n, 0.5), 0.5),
    "two points": (lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, 1.0), 0.5),
}


def allowed(repetitions: int, alpha: float) -> int:
    """Misses that a bound of exactly this error rate exceeds with probability 1e-6."""
    return int(binom.isf(1e-6, repetitions, alpha))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", BOUNDS)
def test_misses_at_most_as_often_as_stated(name: str, sampler: str) -> None:
    draw, truth = SAMPLERS[sampler]
    rng = np.random.default_rng(0)
    values = [BOUNDS[name](draw(rng, 60) * 5 - 2, -2, 3, ALPHA) for _ in range(REPETITIONS)]
    assert sum(v > truth * 5 - 2 for v in values) <= allowed(REPETITIONS, ALPHA)


def test_a_bound_without_the_confidence_term_would_be_caught() -> None:
    draw, truth = SAMPLERS["beta"]
    rng = np.random.default_rng(0)
    misses = sum(draw(rng, 60).mean() - 0.01 > truth for _ in range(REPETITIONS))
    assert misses > allowed(REPETITIONS, ALPHA)


def test_betting_is_the_tightest_for_small_variance() -> None:
    rng = np.random.default_rng(1)
    x = 0.3 + 0.05 * rng.standard_normal(1000)
    x = np.clip(x, 0, 1)
    bound = {name: b(x, 0.0, 1.0, 0.05) for name, b in BOUNDS.items()}
    assert bound["betting"] > 0.285
    assert bound["betting"] > bound["bernstein"] > bound["hoeffding"]
    assert bound["hoeffding"] == pytest.approx(x.mean() - np.sqrt(np.log(20) / 2000), abs=1e-9)


@pytest.mark.parametrize("name", ["bernstein", "hoeffding"])
@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(2, 40),
    size=st.sampled_from([1e-6, 1e-3, 0.2]),
    kind=st.sampled_from(["random", "corners", "spread"]),
    seed=st.integers(0, 10**6),
)
def test_no_values_within_the_error_have_a_smaller_bound(
    name: str, n: int, size: float, kind: str, seed: int
) -> None:
    """Computed values and true ones that are off by up to the error, chosen to widen the spread."""
    rng = np.random.default_rng(seed)
    computed = np.full(n, 0.5) if kind == "corners" else rng.uniform(0.2, 0.8, n)
    step = rng.uniform(-1, 1, n)
    if kind == "corners":
        step = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    if kind == "spread":
        step = np.where(computed > computed.mean(), 0.5, -1.0)
    true = np.clip(computed + size * step, 0.0, 1.0)
    own = BOUNDS[name](true, 0.0, 1.0, 0.05, 0.0)
    assert BOUNDS[name](computed, 0.0, 1.0, 0.05, size * (1 + 1e-12)) <= own + 1e-15


def test_taking_the_error_off_at_the_end_would_not_do() -> None:
    """Equal values have no variance; what they may stand for has: the old way was above it."""
    computed, error = np.full(2000, 0.5), 0.2
    true = computed + error * np.where(np.arange(2000) % 2 == 0, -1.0, 1.0 - 2e-3)
    own = BOUNDS["bernstein"](true, 0.0, 1.0, 0.05, 0.0)
    assert BOUNDS["bernstein"](computed, 0.0, 1.0, 0.05, 0.0) - 0.001 * error > own
    assert BOUNDS["bernstein"](computed, 0.0, 1.0, 0.05, error) <= own


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("chance", [0.02, 0.3, 0.5])
def test_coverage_by_enumeration_where_values_are_off(name: str, chance: float) -> None:
    """All outcomes of 11 coin tosses, each computed too high by the whole error allowed."""
    n, alpha, error = 11, 0.2, 0.25
    missed = 0.0
    for outcome in range(2**n):
        tosses = np.array([outcome >> i & 1 for i in range(n)], dtype=float)
        true = 0.5 * tosses  # in [0, 1]; mean chance / 2
        heads = int(tosses.sum())
        found = BOUNDS[name](true + error, 0.0, 1.0, alpha, error)
        if found > chance / 2:
            missed += chance**heads * (1 - chance) ** (n - heads)
    assert missed <= alpha * (1 + 1e-9)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_larger_error_never_helps(name: str) -> None:
    x = np.random.default_rng(4).beta(2, 5, 300)
    bounds = [BOUNDS[name](x, 0.0, 1.0, 0.05, e) for e in (0.0, 1e-9, 1e-4, 0.01, 0.1, 1.0)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] - bounds[1] < 1e-7
    with pytest.raises(LipsortError):
        BOUNDS[name](x, 0.0, 1.0, 0.05, float("nan"))


def test_betting_agrees_with_a_plain_scan() -> None:
    x = np.random.default_rng(2).beta(2, 5, 80)

    def capital(m: float) -> float:
        mean, spread, k = 0.5, 0.25, 1.0
        total, squares = 0.5, 0.25
        for i, v in enumerate(x, start=1):
            bet = min(np.sqrt(2 * np.log(20) / (spread * len(x))), 0.75 / m)
            k *= 1 + bet * (v - m)
            total += v
            mean = total / (i + 1)
            squares += (v - mean) ** 2
            spread = squares / (i + 1)
        return k

    grid = np.arange(1, 1000) / 1000
    scan = max(m for m in grid if capital(m) >= 20)
    assert betting(x, 0, 1, 0.05) == pytest.approx(scan, abs=1.1e-3)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.sampled_from(sorted(BOUNDS)),
)
def test_never_above_the_mean_nor_below_the_interval(
    unit: list[float], low: float, width: float, name: str
) -> None:
    high = low + width
    x = np.clip(low + np.asarray(unit) * width, low, high)
    bound = BOUNDS[name](x, low, high, 0.05)
    assert low <= bound <= x.mean() + 1e-9 * (abs(low) + abs(high))


@pytest.mark.parametrize(
    "values, low, high",
    [
        ([], 0, 1),
        ([0.5, np.nan], 0, 1),
        ([1.5], 0, 1),
        ([0.5], 1, 0),
        ([0.5], 0, np.inf),
    ],
)
def test_bad_input(values: list[float], low: float, high: float) -> None:
    with pytest.raises(LipsortError):
        hoeffding(np.array(values), low, high, 0.05)


def test_paired_differences_of_unequal_samples() -> None:
    u = np.arange(7, dtype=float) / 10
    v = np.array([0.0, 0.1, 5.0])
    d, low, high = paired_differences(u, v, 0.0, 1.0)
    assert d == pytest.approx([0.05, 0.25 - 0.1, 0.45 - 1.0])
    assert low <= -1.0 and high >= 1.0
    assert low == -high
    with pytest.raises(LipsortError):
        paired_differences(u, v[:0], 0, 1)


def test_transport_upper_covers() -> None:
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(3)
    misses = 0
    for _ in range(REPETITIONS):
        # P uniform on [0, 1], Q uniform on [0.5, 1.5]: W1 = 1/2.
        value = wasserstein_distance(rng.random(20), 0.5 + rng.random(30))
        misses += transport_upper(value, (1.0, 1.0), (20, 30), ALPHA) < 0.5
    assert misses <= allowed(REPETITIONS, ALPHA)
    assert transport_upper(1.0, (0.0, 0.0), (5, 5), 0.05) == pytest.approx(1.0)
