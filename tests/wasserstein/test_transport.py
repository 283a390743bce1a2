"""Transport bounds against each other, closed forms and SciPy, over random measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from lipsort_cli.errors import LipsortError
from lipsort_cli.wasserstein.transport import (
    blocked_upper,
    exact_transport,
    random_blocks,
)


@st.composite
def measure(draw: st.DrawFn, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Few distinct coordinates, so that duplicates and degenerate clouds are common."""
    n = draw(st.integers(1, 9))
    scale = draw(st.sampled_from([1e-6, 1.0, 1e4]))
    points = draw(st.lists(st.integers(-3, 3), min_size=n * dim, max_size=n * dim))
    weights = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n).filter(any))
    return np.array(points, np.float32).reshape(n, dim) * np.float32(scale), np.array(
        weights, float
    )


@settings(deadline=None, max_examples=80)
@given(st.data(), st.integers(1, 3), st.sampled_from(["l1", "l2", "linf"]))
def test_bounds_enclose_and_blocks_are_above(data: st.DataObject, dim: int, norm: str) -> None:
    x, a = data.draw(measure(dim))
    y, b = data.draw(measure(dim))
    exact = exact_transport(x, y, a, b, norm=norm)
    size = max(np.abs(x).max(), np.abs(y).max(), 1e-30)
    assert exact.lower <= exact.value + 1e-12 * size
    assert exact.upper >= exact.lower
    assert exact.upper - exact.lower <= 1e-9 * size
    blocked = blocked_upper(x, y, a, b, norm=norm, size=2)
    assert blocked >= exact.lower
    assert blocked_upper(x, y, a, b, norm=norm, size=50) <= exact.upper + 1e-9 * size


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_on_the_line_it_is_scipys(data: st.DataObject) -> None:
    x, a = data.draw(measure(1))
    y, b = data.draw(measure(1))
    truth = wasserstein_distance(x[:, 0], y[:, 0], a, b)
    exact = exact_transport(x, y, a, b)
    scale = max(1.0, float(np.abs(x).max()), float(np.abs(y).max()))
    assert exact.lower - 1e-12 * scale <= truth <= exact.upper + 1e-12 * scale


def test_translation_is_exact_in_every_norm() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 5))
    t = np.array([0.5, -0.25, 0.0, 1.0, 0.0])
    for norm, order in (("l1", 1), ("l2", 2), ("linf", np.inf)):
        exact = exact_transport(x, x + t, norm=norm)
        assert exact.upper == pytest.approx(np.linalg.norm(t, order), rel=1e-9)
        assert exact.lower == pytest.approx(exact.upper, rel=1e-9)


def test_blocks_partition_the_mass() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(37), rng.random(101)
    a, b = a / a.sum(), b / b.sum()
    seen_a, seen_b = np.zeros(37), np.zeros(101)
    blocks = list(random_blocks(a, b, 20, rng))
    assert len(blocks) == 6
    for block in blocks:
        np.add.at(seen_a, block.x_rows, block.x_mass)
        np.add.at(seen_b, block.y_rows, block.y_mass)
        assert block.x_mass.sum() == pytest.approx(block.y_mass.sum(), rel=1e-9)
    assert seen_a == pytest.approx(a, abs=1e-14)
    assert seen_b == pytest.approx(b, abs=1e-14)


def test_duals_are_feasible_and_optimal() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((60, 3)), rng.standard_normal((40, 3)) + 1
    exact = exact_transport(x, y)
    cost = np.linalg.norm(x[:, None] - y[None], axis=2)
    assert (exact.dual_x[:, None] + exact.dual_y[None] - cost).max() <= 1e-9
    assert exact.dual_x.mean() + exact.dual_y.mean() == pytest.approx(exact.value, rel=1e-9)


def test_infinite_samples_are_refused() -> None:
    with pytest.raises(LipsortError, match="finite"):
        exact_transport(np.array([[np.inf]]), np.array([[0.0]]))
