"""Every synthetic pair: its truth against exact transport, its potential against both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.data.distributions.base import Pair, atoms_distance
from lipsort_cli.data.distributions.gaussians import (
    AxisMixture,
    ScaledGaussians,
    TranslatedGaussians,
)
from lipsort_cli.data.distributions.radial import Cones, Spheres
from lipsort_cli.errors import UsageError

PAIRS = [
    Cones(dim=1, count=1),
    Cones(),
    Cones(dim=5, count=4, spacing=3.0, radius=1.5),
    Spheres(128, [0.0], [1.0]),
    Spheres(3, [0.5], [2.0]),
    Spheres(2, [1.0, 4.0], [2.0, 3.0]),
    TranslatedGaussians(dim=50, shift=2.0, std=0.3),
    ScaledGaussians(dim=7, std_p=2.0, std_q=0.5),
    AxisMixture(3, [-2, 0, 2], [-1, 1], [1, 1, 1], [1, 2], 0.3),
    AxisMixture(1, [0.0], [1.5], [1], [1], 1.0),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{type(p).__name__}-{p.dim}")
def test_potential_attains_truth(pair: Pair) -> None:
    rng = np.random.default_rng(0)
    n = 40_000
    f_p = pair.potential(pair.sample_p(n, rng))
    f_q = pair.potential(pair.sample_q(n, rng))
    error = np.sqrt((f_p.var() + f_q.var()) / n)
    truth = pair.truth("l2")
    assert truth is not None
    assert abs(f_p.mean() - f_q.mean() - truth) <= 5 * error + 1e-6


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{type(p).__name__}-{p.dim}")
def test_potential_is_one_lipschitz(pair: Pair) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([pair.sample_p(200, rng), pair.sample_q(200, rng)])
    y = x[rng.permutation(len(x))] + rng.standard_normal(x.shape).astype(np.float32) * 0.1
    gap = np.abs(pair.potential(x) - pair.potential(y))
    assert np.all(gap <= np.linalg.norm(x.astype(float) - y, axis=1) * (1 + 1e-6) + 1e-6)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{type(p).__name__}-{p.dim}")
def test_exact_transport_between_samples_is_not_below_truth(pair: Pair) -> None:
    import ot

    rng = np.random.default_rng(2)
    values = []
    for _ in range(5):
        x, y = (
            pair.sample_p(200, rng).astype(float),
            pair.sample_q(200, rng).astype(float),
        )
        values.append(ot.emd2([], [], ot.dist(x, y, metric="euclidean")))
    # The empirical distance is biased upwards.
    spread = np.std(values) / np.sqrt(5)
    assert np.mean(values) >= pair.truth("l2") - 4 * spread - 1e-5


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{type(p).__name__}-{p.dim}")
def test_diameters_hold_and_same_seed_same_points(pair: Pair) -> None:
    x = pair.sample_p(300, np.random.default_rng(3))
    y = pair.sample_q(300, np.random.default_rng(4))
    assert x.dtype == y.dtype == np.float32
    assert x.shape == y.shape == (300, pair.dim)
    assert np.array_equal(x, pair.sample_p(300, np.random.default_rng(3)))
    for norm, order in (("l1", 1), ("l2", 2), ("linf", np.inf)):
        diameters = pair.diameters(norm)
        if diameters is None:
            continue
        for points, diameter in zip((x, y), diameters, strict=True):
            gaps = np.linalg.norm(points[:, None] - points[None], order, axis=2)
            assert gaps.max() <= diameter * (1 + 1e-6)


def test_truth_in_other_norms() -> None:
    translated = TranslatedGaussians(dim=4, shift=2.0)
    assert [translated.truth(n) for n in ("l1", "l2", "linf")] == pytest.approx([4.0, 2.0, 1.0])
    assert Spheres(3, [0.0], [1.0]).truth("linf") is None
    assert Cones(dim=1, count=1).truth("l1") == 1.0
    scaled = ScaledGaussians(dim=3, std_p=1.0, std_q=3.0)
    points = np.abs(np.random.default_rng(0).standard_normal((200_000, 3))).sum(1)
    assert scaled.truth("l1") == pytest.approx(2 * points.mean(), rel=0.01)
    assert scaled.truth("linf") is None


def test_known_values() -> None:
    assert Spheres(9, [1e-7], [1.0]).truth() == pytest.approx(1 - 1e-7, abs=1e-15)
    assert Spheres(2, [1, 4], [2, 3]).truth() == pytest.approx(1.0)
    assert AxisMixture(2, [0.0], [1.5], [1], [1]).truth() == pytest.approx(1.5, abs=1e-10)
    assert ScaledGaussians(dim=1).truth() == pytest.approx(np.sqrt(2 / np.pi))


def test_near_components_among_far_ones_are_integrated() -> None:
    # F - G is 1/4, 0 and -1/4 over lengths of 4, 8 and 4 standard deviations, once in 4,000,000 of
    # them, and has the same sum of either sign.
    std = 0.0005
    p, q = [-1000, 0, 0.008, 1000], [-1000, 0.002, 0.006, 1000]
    pair = AxisMixture(1, p, q, [1] * 4, [1] * 4, std)
    near = AxisMixture(1, [0, 0.008], [0.002, 0.006], [1, 1], [1, 1], std)
    assert pair.truth() == pytest.approx(near.truth() / 2, rel=1e-6)
    assert pair.truth() == pytest.approx(0.001, rel=1e-3)
    points = np.linspace(-0.002, 0.01, 4001, dtype=np.float32)[:, None]
    slopes = np.diff(pair.potential(points)) / np.diff(points[:, 0].astype(float))
    assert slopes[points[1:, 0] < 0.002].max() < -0.99 and slopes[-1000:].min() > 0.99


@pytest.mark.parametrize("means", [[1.0], [0.0, 1.0]])
def test_components_narrower_than_float64_tells_apart_are_atoms(means: list[float]) -> None:
    pair = AxisMixture(1, means, [3.0], [1] * len(means), [1], 1e-30)
    assert pair.truth() == pytest.approx(3.0 - np.mean(means))


def test_faults_are_named() -> None:
    with pytest.raises(UsageError, match="spacing"):
        Cones(spacing=1.5)
    with pytest.raises(UsageError, match="radii"):
        Spheres(2, [-1.0], [1.0])
    with pytest.raises(UsageError, match="q_weights"):
        AxisMixture(1, [0.0], [1.0], [1], [1, 2])


measures = st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 9)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(measures, measures)
def test_line_distance_is_scipys(p: list, q: list) -> None:
    from scipy.stats import wasserstein_distance

    (x, a), (y, b) = zip(*p, strict=True), zip(*q, strict=True)
    value, profile = atoms_distance(x, a, y, b)
    assert value == pytest.approx(wasserstein_distance(x, y, a, b), abs=1e-9)
    attained = np.average(profile(x), weights=a) - np.average(profile(y), weights=b)
    assert attained == pytest.approx(value, abs=1e-9)
