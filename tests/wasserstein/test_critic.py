"""Critics are 1-Lipschitz in their ground metric, proven bounds never exceed exact transport."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.certificates.points import load_network
from lipsort_cli.config.constraints import LinfConstraint, OrthonormalConstraint
from lipsort_cli.config.models import MlpModel
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.config.train import LipschitzNetwork
from lipsort_cli.layers import Dense
from lipsort_cli.layers.constraints.transposed import Transposed
from lipsort_cli.wasserstein.bounds import (
    SavedCritic,
    confidence_lower,
    critic_lower,
    population_upper,
    sample_transport,
    sinkhorn_value,
    sliced_value,
)
from lipsort_cli.wasserstein.critic import build_critic, critic_values, running_constant
from lipsort_cli.wasserstein.sources import Measures
from lipsort_cli.wasserstein.transport import exact_transport
from lipsort_cli.zoo import build_constraint, save_network

NORMS = {"l2": 2, "linf": np.inf, "l1": 1}


def critic_of(
    norm: str,
    dim: int,
    *,
    centre: float = 0.0,
    spread: float = 1.0,
    method: str = "softmax",
    seed: int = 0,
    activation: str = "fullsort",
    centred: bool = True,
):
    torch.manual_seed(seed)
    kind = GROUPS["activation"][activation]()
    constraint = OrthonormalConstraint() if norm == "l2" else LinfConstraint(method=method)
    groups = LipschitzNetwork(MlpModel(widths=[16, 8]), kind, constraint, None, None)
    return build_critic(
        groups, norm=norm, centre=np.full(dim, centre), spread=spread, centred=centred
    )


def plain(network, norm: str, folder: Path) -> SavedCritic:
    save_network(network, folder / "model.safetensors")
    return SavedCritic.of(load_network(folder / "model.safetensors"), norm)


@pytest.mark.parametrize("method", ["softmax", "projection"])
@pytest.mark.parametrize("norm", NORMS)
def test_critic_is_one_lipschitz_in_its_norm(norm: str, method: str, tmp_path: Path) -> None:
    network = critic_of(norm, 5, centre=100.0, spread=37.0, method=method)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 5)) * 40 + 100
    y = x + rng.standard_normal((300, 5)) * rng.choice([0.1, 10.0], (300, 1))
    x, y = x.astype(np.float32), y.astype(np.float32)
    cpu = torch.device("cpu")
    gap = np.abs(critic_values(network, x, cpu) - critic_values(network, y, cpu))
    distance = np.linalg.norm(x.astype(float) - y, NORMS[norm], axis=1)
    proven = plain(network, norm, tmp_path).lipschitz
    # The best route through all norms may be below the product of the layers' constants.
    assert np.all(gap <= proven * distance * (1 + 1e-4) + 1e-3)
    assert proven <= running_constant(network, norm) * (1 + 1e-4) <= 1 + 2e-4


@pytest.mark.parametrize("centred", [True, False])
def test_centre_and_spread_bring_points_to_the_origin(centred: bool) -> None:
    network = critic_of("l2", 3, centre=1000.0, spread=100.0, centred=centred)
    first = next(layer for layer in network if isinstance(layer, Dense))
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda _m, _i, out: seen.append(out))
    network(torch.full((1, 3), 1000.0))
    assert float(seen[0].detach().abs().max()) < 1e-3
    # Centred, they stay there when the weight turns.
    with torch.no_grad():
        first.parameter.copy_(torch.linalg.qr(torch.randn(16, 3)).Q)
    network(torch.full((1, 3), 1000.0))
    assert (float(seen[1].detach().abs().max()) < 1e-3) == centred


def test_transposed_is_the_column_ball() -> None:
    torch.manual_seed(0)
    for method in ("softmax", "projection"):
        inner = build_constraint(LinfConstraint(method=method))
        constraint = Transposed(inner)
        weight = constraint.sample(7, 3)
        assert weight.shape == (7, 3)
        assert float(weight.abs().sum(0).max()) <= 1 + 1e-5
        assert constraint.contains(weight)
        assert not constraint.contains(2 * weight)
        again = constraint(constraint.right_inverse(weight))
        assert torch.allclose(again, weight, atol=1e-5)
        parameter = 3 * constraint.right_inverse(weight)
        constraint.retract_(parameter)
        assert constraint.contains(constraint(parameter), 1e-4)


@st.composite
def measures(draw: st.DrawFn) -> Measures:
    """Few points with duplicates, shared atoms, weights that may vanish, odd scales."""
    dim = draw(st.integers(1, 3))
    scale = draw(st.sampled_from([1e-6, 1.0, 1e5]))
    sides = []
    for _ in range(2):
        n = draw(st.integers(1, 7))
        points = draw(st.lists(st.integers(-2, 2), min_size=n * dim, max_size=n * dim))
        array = np.array(points, np.float32).reshape(n, dim) * np.float32(scale)
        weights = draw(st.none() | st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any))
        sides.append((array, None if weights is None else np.array(weights, float)))
    (x, a), (y, b) = sides
    return Measures(x, y, a, b)


@settings(deadline=None, max_examples=60)
@given(measures(), st.sampled_from(sorted(NORMS)), st.integers(0, 3))
def test_proven_bound_is_never_above_exact_transport(
    tmp_path_factory: pytest.TempPathFactory, sample: Measures, norm: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("critic")
    dim = sample.x.shape[1]
    spread = float(np.abs(np.concatenate([sample.x, sample.y])).max())
    critic = plain(critic_of(norm, dim, spread=spread, seed=seed), norm, folder)
    f_x, f_y = critic.values(sample.x), critic.values(sample.y)
    exact = exact_transport(*sample, norm=norm)
    for first, second, pair in (
        (f_x, f_y, sample),
        (f_y, f_x, Measures(sample.y, sample.x, sample.y_weights, sample.x_weights)),
    ):
        bound = critic_lower(critic, first, second, pair)
        assert 0.0 <= bound.value <= exact.upper
        assert bound.evidence == "proven"


def test_a_perfect_critic_reaches_transport_and_no_more(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = critic_of("l2", 4)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 4)).astype(np.float32)
    with torch.no_grad():  # f(x) = x_1: every layer passes its first coordinates on
        for layer in network:
            if isinstance(layer, Dense):
                layer.parameter.copy_(torch.eye(*layer.parameter.shape))
                layer.bias.copy_(
                    torch.arange(layer.out_features) * 100.0 if layer.out_features > 1 else 0
                )
    y = x - np.array([0.5, 0, 0, 0], np.float32)
    critic = plain(network, "l2", tmp_path)
    sample = Measures(x, y)
    bound = critic_lower(critic, critic.values(x), critic.values(y), sample)
    exact = exact_transport(x, y)
    assert exact.upper == pytest.approx(0.5, rel=1e-6)
    assert exact.upper * (1 - 1e-6) <= bound.value <= exact.upper


def test_confidence_bound_covers_and_is_named(tmp_path: Path) -> None:
    critic = plain(critic_of("l2", 2), "l2", tmp_path)
    rng = np.random.default_rng(0)
    truth = 1.0  # a shift of length 1
    misses = 0
    for _ in range(200):
        x = rng.standard_normal((40, 2)).astype(np.float32)
        y = rng.standard_normal((60, 2)).astype(np.float32) + np.float32([1.0, 0.0])
        bounds = confidence_lower(critic, (-2.0, 2.0), (x, y), 0.1)
        assert [b.method.split()[0] for b in bounds] == ["betting", "bernstein", "hoeffding"]
        assert all(b.evidence == "confidence 0.9" for b in bounds)
        misses += bounds[0].value > truth
    assert misses == 0  # any critic's expected gap is at most W1
    assert confidence_lower(critic, (1.0, 1.0), (x, y), 0.1) == []


def test_transport_bounds_and_their_blocked_version() -> None:
    rng = np.random.default_rng(1)
    sample = Measures(rng.standard_normal((90, 3)), rng.standard_normal((70, 3)) + 1)
    exact, solution = sample_transport(sample, "l2", 100, rng)
    blocked, nothing = sample_transport(sample, "l2", 50, rng)
    assert solution is not None and nothing is None
    assert [b.kind for b in exact] == ["upper", "lower"] and [b.kind for b in blocked] == ["upper"]
    assert exact[1].value <= solution.value <= exact[0].value
    assert blocked[0].value >= exact[0].value
    above = population_upper(exact[0], (2.0, 3.0), (90, 70), 0.05)
    term = np.sqrt((4 / 90 + 9 / 70) * np.log(20) / 2)
    assert above.value == pytest.approx(exact[0].value + term)
    assert above.evidence == "confidence 0.95"


def test_other_distances_are_named_as_what_they_are() -> None:
    rng = np.random.default_rng(2)
    sample = Measures(rng.standard_normal((60, 3)), rng.standard_normal((60, 3)) + 1)
    exact = exact_transport(sample.x, sample.y)
    sliced = sliced_value(sample, 50, rng)
    assert sliced.value < exact.value and "sliced" in sliced.method
    sinkhorn = sinkhorn_value(sample, "l2", 0.02)
    assert sinkhorn.value == pytest.approx(exact.value, rel=0.05)
    assert sliced.evidence == sinkhorn.evidence == "empirical"
