"""The measures of a generator against closed forms, other computations and extremes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.gan.evaluation.kernel import kernel_distance
from lipsort_cli.gan.evaluation.manifolds import nearest, precision_recall
from lipsort_cli.gan.evaluation.measures import class_shares, covered, imbalance
from lipsort_cli.wasserstein.bounds import projected_distances
from lipsort_cli.wasserstein.sources import SamplerSource, rows_once, rows_with_replacement


def cloud(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- sliced W1 ---------------------------------------------------------------------------------


def test_sliced_distance_of_a_translate_is_the_mean_length_of_its_projections() -> None:
    x = cloud(400, 6).numpy().astype(np.float64)
    shift = np.array([3.0, 0, 0, 0, 0, 0])
    values = projected_distances(x, x + shift, 4000, np.random.default_rng(0))
    assert values.max() <= 3 + 1e-12
    # E |e.u| over the sphere in 6 dimensions: Gamma(3) / (sqrt(pi) Gamma(3.5)).
    expected = 3 * 2 / (np.sqrt(np.pi) * 3.32335097)
    assert values.mean() == pytest.approx(expected, abs=4 * values.std() / 4000**0.5)


@settings(max_examples=25)
@given(n=st.integers(1, 9), m=st.integers(1, 9), seed=st.integers(0, 99))
def test_sliced_distance_agrees_with_pot_line_by_line(n: int, m: int, seed: int) -> None:
    import ot

    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 3)), np.round(rng.standard_normal((m, 3)))
    values = projected_distances(x, y, 5, np.random.default_rng(seed))
    lines = np.random.default_rng(seed).standard_normal((5, 3))
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    for line, value in zip(lines, values, strict=True):
        assert value == pytest.approx(ot.wasserstein_1d(x @ line, y @ line, p=1), abs=1e-12)


# --- kernel distance ---------------------------------------------------------------------------


def test_kernel_distance_is_its_definition() -> None:
    x, y = cloud(7, 4).double(), cloud(5, 4, seed=1).double() + 0.3

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a @ b / 4 + 1) ** 3)

    within = [
        np.mean([k(s[i], s[j]) for i, j in itertools.permutations(range(len(s)), 2)])
        for s in (x, y)
    ]
    across = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y).value == pytest.approx(sum(within) - 2 * across)


def test_kernel_distance_is_unbiased() -> None:
    """Its mean over all parts of two finite sets is its value on the whole, exactly."""
    x, y = cloud(6, 3).double(), cloud(5, 3, seed=1).double()
    parts = [
        kernel_distance(x[list(i)], y[list(j)]).value
        for i in itertools.combinations(range(6), 3)
        for j in itertools.combinations(range(5), 2)
    ]
    assert np.mean(parts) == pytest.approx(kernel_distance(x, y).value)


def test_kernel_distance_of_equal_distributions_is_zero_within_its_error() -> None:
    found = [
        kernel_distance(cloud(100, 8, seed=2 * i), cloud(80, 8, seed=2 * i + 1)) for i in range(200)
    ]
    values = np.array([f.value for f in found])
    assert abs(values.mean()) < 3 * values.std() / 200**0.5
    assert values.min() < 0 < values.max()
    # Honest, or a little too large where both are equal.
    assert 0.8 < np.mean([f.standard_error for f in found]) / values.std() < 2.5


def test_kernel_distance_has_an_honest_error_where_distributions_differ() -> None:
    found = [
        kernel_distance(cloud(100, 4, seed=2 * i) + 0.7, cloud(80, 4, seed=2 * i + 1))
        for i in range(200)
    ]
    values = np.array([f.value for f in found])
    assert np.mean([f.standard_error for f in found]) == pytest.approx(values.std(), rel=0.25)


def test_kernel_distance_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from lipsort_cli.gan.evaluation import kernel

    x, y = cloud(40, 5), cloud(33, 5, seed=1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr(kernel, "_ROWS", 7)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-4)


def test_kernel_distance_wants_two_points() -> None:
    with pytest.raises(ValueError, match="found 1 and 5"):
        kernel_distance(cloud(1, 2), cloud(5, 2))


# --- neighbours --------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [2, 100])
def test_nearest_is_brute_force(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from lipsort_cli.gan.evaluation import manifolds

    monkeypatch.setattr(manifolds, "_NUMBERS", 700)
    x, y = cloud(50, dim), cloud(60, dim, seed=1)
    apart = torch.cdist(x.double(), y.double())
    expected, rows = apart.topk(3, largest=False)
    found = nearest(x, y, 3)
    assert torch.allclose(found.distances.double(), expected, rtol=1e-5)
    assert (found.rows == rows).all()
    own = nearest(x, x, 2, exclude_self=True)
    assert (own.rows != torch.arange(50)[:, None]).all()


def test_precision_and_recall_at_their_extremes() -> None:
    data = cloud(60, 3)
    same, far = precision_recall(data, data), precision_recall(data + 50, data)
    assert same == (1.0, 1.0) and far == (0.0, 0.0)
    # One mode of two: all that is made is like data, half of the data is never made.
    half = precision_recall(cloud(60, 3, seed=1), torch.cat([data[:30], data[:30] + 50]))
    assert half.precision > 0.6 and half.recall <= 0.5
    # A collapsed generator: a single point of the data, again and again.
    collapsed = precision_recall(data[:1].expand(60, 3), data)
    assert collapsed.precision == 1.0 and collapsed.recall <= 1 / 60 + 1e-9


def test_precision_and_recall_are_their_definition_and_swap_with_the_samples() -> None:
    x, y = cloud(40, 2), cloud(50, 2, seed=1) * 1.5
    k = 4

    def share(points: torch.Tensor, manifold: torch.Tensor) -> float:
        apart = torch.cdist(manifold.double(), manifold.double()).fill_diagonal_(torch.inf)
        radii = apart.topk(k, largest=False).values[:, -1]
        return float(
            (torch.cdist(points.double(), manifold.double()) <= radii).any(1).double().mean()
        )

    found = precision_recall(x, y, k)
    assert found == pytest.approx((share(x, y), share(y, x)))
    assert precision_recall(y, x, k) == (found.recall, found.precision)


def test_precision_and_recall_want_more_points_than_neighbours() -> None:
    with pytest.raises(ValueError, match="more than 3 neighbours"):
        precision_recall(cloud(3, 2), cloud(9, 2))


def test_dense_points_of_the_plane_far_from_the_origin_keep_their_digits() -> None:
    dense = cloud(200, 2).double() * 1e-4
    both = torch.cat([dense, dense + 4.0])
    apart = torch.cat([dense + 1e-2, dense + 4.01])
    assert precision_recall(apart.float(), both.float()) == (0.0, 0.0)


# --- classes -----------------------------------------------------------------------------------


def test_class_shares_and_their_distance() -> None:
    shares = class_shares(torch.tensor([0, 0, 2, 2]), 3)
    assert shares.tolist() == [0.5, 0.0, 0.5]
    even = torch.full((3,), 1 / 3, dtype=torch.float64)
    assert imbalance(shares, shares) == 0.0
    assert imbalance(shares, even) == pytest.approx(1 / 3)
    assert covered(shares, even) == 2 and covered(even, shares) == 2


# --- sources -----------------------------------------------------------------------------------


def test_a_drawn_source_bounds_with_other_points_than_it_trains_on() -> None:
    train, unseen = np.zeros((9, 4), np.float32), np.ones((6, 4), np.float32)
    source = SamplerSource(
        "pair",
        (rows_with_replacement(train), rows_with_replacement(train + 2)),
        (rows_once(unseen), rows_once(unseen + 2)),
        None,
        shape=(1, 2, 2),
        box=(0.0, 3.0),
    )
    rng = np.random.default_rng(0)
    assert source.dim == 4 and source.shape == (1, 2, 2) and not source.finite
    assert source.centre.tolist() == [1.0] * 4 and source.spread == pytest.approx(2.0)
    assert source.batch(20, rng)[0].shape == (20, 4)
    compared = source.compared(100, rng)
    assert len(compared.x) == 6 and (compared.x == 1).all() and (compared.y == 3).all()
    assert source.held_out(5, rng) is None
    assert source.diameters("l2") == (6.0, 6.0) and source.diameters("linf") == (3.0, 3.0)
