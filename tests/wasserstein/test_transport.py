"""Transport bounds against each other, closed forms and SciPy, over random measures."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from lipsort_cli.errors import LipsortError
from lipsort_cli.wasserstein.masses import coupled, in_one_unit, net, whole
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


# --- awkward samples, against rational arithmetic -------------------------------------------------

RNG = np.random.default_rng(7)
NORMAL = RNG.standard_normal((40, 2))
WEIGHTS = RNG.random((40, 2))
NANOSECONDS = 1_700_000_000_000_000_000 + RNG.integers(0, 1000, (40, 2))
FAR = np.where(np.arange(40)[:, None] % 4, NORMAL, 1e15)

AWKWARD: dict[str, tuple[np.ndarray, ...]] = {
    "plain": (NORMAL[:, 0], NORMAL[:, 1]),
    "unequal sizes": (NORMAL[:, 0], NORMAL[:7, 1]),
    "shift 1e6": (NORMAL[:, 0] + 1e6, NORMAL[:, 1] + 1e6),
    "shift 1e9": (NORMAL[:, 0] + 1e9, NORMAL[:, 1] + 1e9),
    "shift -1e9": (NORMAL[:, 0] - 1e9, NORMAL[:20, 1] - 1e9),
    "scale 1e-15": (NORMAL[:, 0] * 1e-15, NORMAL[:, 1] * 1e-15),
    "scale 1e15": (NORMAL[:, 0] * 1e15, NORMAL[:, 1] * 1e15),
    "scale 1e-200": (NORMAL[:, 0] * 1e-200, NORMAL[:, 1] * 1e-200),
    "scale 1e200": (NORMAL[:, 0] * 1e200, NORMAL[:, 1] * 1e200),
    "duplicates": (RNG.integers(0, 3, 40).astype(float), RNG.integers(0, 4, 30).astype(float)),
    "one point": (np.zeros(5), np.full(9, 1.5)),
    "the same": (NORMAL[:, 0], NORMAL[::-1, 0]),
    "nearly the same": (NORMAL[:, 0], NORMAL[:, 0] + 1e-12),
    "weights": (NORMAL[:, 0], NORMAL[:, 1], WEIGHTS[:, 0], WEIGHTS[:, 1]),
    "weights 1e-300": (NORMAL[:, 0], NORMAL[:, 1], WEIGHTS[:, 0] * 1e-300, WEIGHTS[:, 1] * 1e-300),
    "weights of all sizes": (NORMAL[:, 0], NORMAL[:, 1], 10.0 ** -np.arange(0, 320, 8), None),
    "weights of 0": (NORMAL[:, 0], NORMAL[:, 1], np.arange(40) % 3, np.arange(40) % 2),
    "shared far points": (FAR[:, 0], FAR[:, 1]),
    "shared far points, unequal": (FAR[:, 0], FAR[:20, 1]),
    "far clusters": (
        np.append(NORMAL[:30, 0], 1e15 + np.arange(10)),
        np.append(NORMAL[:30, 1], 1e15 + 0.5 + np.arange(10)),
    ),
    "a far point": (np.append(NORMAL[:, 0], 1e12), NORMAL[:, 1]),
    "nanoseconds": (NANOSECONDS[:, 0], NANOSECONDS[:, 1] + 60),
    "unsigned": (NANOSECONDS[:, 0].astype(np.uint64), NANOSECONDS[:30, 1].astype(np.uint64)),
    "float32": (NORMAL[:, 0].astype(np.float32), NORMAL[:, 1].astype(np.float32)),
}


def rational(x: np.ndarray, y: np.ndarray, a: np.ndarray | None, b: np.ndarray | None) -> Fraction:
    """The integral of |F - G|, without rounding."""
    first, second, unit = in_one_unit(whole(a, len(x)), whole(b, len(y)))
    steps: dict[Fraction, int] = {}
    for points, masses, sign in ((x, first, 1), (y, second, -1)):
        for point, mass in zip(points.tolist(), masses, strict=True):
            place = Fraction(point)
            steps[place] = steps.get(place, 0) + sign * mass
    places = sorted(steps)
    total, ahead = Fraction(0), 0
    for place, following in pairwise(places):
        ahead += steps[place]
        total += abs(ahead) * (following - place)
    return total / unit


@pytest.mark.parametrize("route", ["line", "plane"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_pairs_against_rational_transport(name: str, route: str) -> None:
    x, y, a, b = (*AWKWARD[name], None, None)[:4]
    truth = rational(x, y, a, b)
    if route == "line":
        exact = exact_transport(x[:, None], y[:, None], a, b)
        blocked = None if x.dtype.kind in "iu" else blocked_upper(x[:, None], y[:, None], a, b)
    else:  # the largest coordinate of (z, z) is z: the same distance by network simplex
        x, y = (np.stack([z, z], axis=1) for z in (x, y))
        exact = exact_transport(x, y, a, b, norm="linf")
        blocked = None if x.dtype.kind in "iu" else blocked_upper(x, y, a, b, norm="linf", size=9)
    assert Fraction(exact.lower) <= truth <= Fraction(exact.upper)
    assert exact.width <= 1e-6
    assert blocked is None or truth <= Fraction(blocked)
    assert np.isfinite(exact.dual_x).all() and np.isfinite(exact.dual_y).all()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_couplings_in_integers_are_couplings(data: st.DataObject) -> None:
    n, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    supply = data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
    demand = data.draw(st.lists(st.integers(1, 9), min_size=m, max_size=m))
    supply, demand, unit = in_one_unit(supply, demand)
    plan = np.array(data.draw(st.lists(st.booleans(), min_size=n * m, max_size=n * m)), float)
    left = [list(supply), list(demand)]
    for i, j, mass in coupled(plan.reshape(n, m), supply, demand):
        assert mass > 0
        left[0][i] -= mass
        left[1][j] -= mass
    assert not any(left[0]) and not any(left[1]) and sum(supply) == unit


def test_shared_mass_cancels() -> None:
    keys = [b"a", b"b", b"b", b"c"]
    mass = net(keys, [b"b", b"d"], [1, 1, 1, 1], [3, 1])
    # 1/4 each of a and c, 2/4 of b, against 3/4 of b and 1/4 of d: in sixteenths.
    assert mass.supply == [4, 4] and mass.demand == [4, 4] and mass.unit == 16
    assert mass.sources.tolist() == [0, 3] and mass.sinks.tolist() == [0, 1]


def test_integers_without_a_common_origin_are_refused() -> None:
    with pytest.raises(LipsortError, match="binary64 would round"):
        exact_transport(np.array([[0], [2**60 + 1]]), np.array([[1], [2]]))


def test_a_line_of_many_points_is_exact() -> None:
    x = np.random.default_rng(0).standard_normal((30_000, 1))
    exact = exact_transport(x, x[:20_000] + 1)
    assert exact.width < 1e-12
    truth = wasserstein_distance(x[:, 0], x[:20_000, 0] + 1)
    assert exact.value == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_an_atom_lighter_than_a_rounding_counts_where_it_is(norm: str) -> None:
    """No block has any of its mass, but it lies so far away that it makes most of the distance."""
    rng = np.random.default_rng(0)
    x, y, a = rng.standard_normal((300, 2)), rng.standard_normal((300, 2)), np.ones(300)
    x[7], a[7] = -1e25, 1e-17
    # z -> z_0 is 1-Lipschitz in every norm.
    mean = sum(Fraction(w) * Fraction(z) for w, z in zip(a, x[:, 0], strict=True)) / Fraction(299)
    gap = abs(mean - sum(map(Fraction, y[:, 0])) / 300)
    assert gap > 1e5
    assert Fraction(blocked_upper(x, y, a, norm=norm, size=100)) >= gap * (1 - Fraction(1, 10**12))
    assert Fraction(exact_transport(x, y, a, norm=norm).upper) >= gap * (1 - Fraction(1, 10**12))


@pytest.mark.parametrize("light", [3e-322, 3e-320, 1e-300])
@pytest.mark.parametrize("heavy", [3.0, 7.0])
def test_a_share_below_the_normal_numbers_is_not_rounded(heavy: float, light: float) -> None:
    """So far away that it makes a distance all by itself."""
    x, y, a = np.array([[0.0], [1e300]]), np.zeros((2, 1)), np.array([heavy, light])
    truth = rational(x[:, 0], y[:, 0], a, None)
    exact = exact_transport(x, y, a)
    assert Fraction(exact.lower) <= truth <= Fraction(exact.upper) and exact.width < 1e-12
    assert truth <= Fraction(blocked_upper(x, y, a, size=1)) <= truth * 2


def test_distances_beyond_binary64_are_refused_in_blocks_too() -> None:
    x, y = np.array([[1.5e308, 0.0], [1.0, 2.0]]), np.array([[-1.5e308, 1.0], [0.0, 2.0]])
    for bounded in (exact_transport, blocked_upper):
        with pytest.raises(LipsortError, match="not finite"):
            bounded(x, y)
