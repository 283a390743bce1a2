"""Order-statistic layers: against brute force, differences, dropout's expectation, certificates."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lipsort_cli.certificates.points import certify_points, load_network
from lipsort_cli.config.distance import LinfDistanceModel, SortnetModel
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import lipschitz_constant
from lipsort_cli.layers.distance import Distance, OrderStatistics, rank_weights, soft_distance
from lipsort_cli.layers.margins import worst_margin
from lipsort_cli.training.radius import body_constant, head_gaps, radii
from lipsort_cli.zoo import network_graph, save_network
from lipsort_cli.zoo.distance import build_distance


def brute_force(x: Tensor, weight: Tensor, decay: float) -> Tensor:
    """The formula, one entry at a time."""
    found = torch.zeros(len(x), len(weight), dtype=x.dtype)
    for n, j in itertools.product(range(len(x)), range(len(weight))):
        distances = sorted((abs(float(a - b)) for a, b in zip(x[n], weight[j], strict=True)))
        terms = [(1 - decay) * decay**k * d for k, d in enumerate(reversed(distances))]
        found[n, j] = terms[0] if decay == 0 else sum(terms)
    return found


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 7), (7, 1), (10, 10)])
def test_equals_the_formula(inputs: int, outputs: int, decay: float) -> None:
    torch.manual_seed(0)
    layer = Distance(inputs, outputs, decay, center=False).double().eval()
    with torch.no_grad():
        layer.offset.normal_()
    x = torch.randn(5, inputs, dtype=torch.double)
    expected = brute_force(x, layer.weight.detach(), decay) + layer.bias
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_gradients_against_differences(decay: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 8, dtype=torch.double, requires_grad=True)
    weight = torch.randn(5, 8, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: OrderStatistics.apply(a, b, decay), (x, weight))
    assert torch.autograd.gradcheck(lambda a, b: soft_distance(a, b, 5.0), (x, weight))


def test_gradients_agree_with_autograd_when_chunks_are_many() -> None:
    torch.manual_seed(0)
    x = torch.randn(300, 40, requires_grad=True)
    weight = torch.randn(70, 40, requires_grad=True)
    pulled = torch.randn(300, 70)
    mine = torch.autograd.grad((OrderStatistics.apply(x, weight, 0.0) * pulled).sum(), (x, weight))
    plain = (x[:, None] - weight).abs().amax(2)
    theirs = torch.autograd.grad((plain * pulled).sum(), (x, weight))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_no_examples_and_ties() -> None:
    layer = Distance(3, 2).eval()
    assert layer(torch.zeros(0, 3)).shape == (0, 2)
    assert Distance(3, 2, 0.5).eval()(torch.zeros(0, 3)).shape == (0, 2)
    x = torch.ones(1, 3, requires_grad=True)
    OrderStatistics.apply(x, torch.zeros(1, 3), 0.0).sum().backward()
    assert x.grad is not None and float(x.grad.abs().sum()) == 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    inputs=st.integers(1, 12),
    decay=st.sampled_from([0.0, 0.2, 0.7]),
    spread=st.floats(1e-3, 50),
)
def test_lipschitz_in_linf_and_l2(seed: int, inputs: int, decay: float, spread: float) -> None:
    torch.manual_seed(seed)
    layer = Distance(inputs, 6, decay, spread=spread).double().eval()
    x = spread * torch.randn(8, inputs, dtype=torch.double)
    moved = x + torch.randn_like(x) * 10.0 ** torch.randint(-3, 3, (8, 1))
    with torch.no_grad():
        change, step = layer(moved) - layer(x), moved - x
    # Subtractions of values so large round by as much.
    rounding = 1e-13 * (float(x.abs().max()) + float(moved.abs().max()) + 5 * spread)
    for norm, p in (("l2", 2), ("l1", 1), ("linf", torch.inf)):
        limit = lipschitz_constant(layer, norm) * step.norm(p, 1) + 6 * rounding
        assert (change.norm(p, 1) <= limit).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), inputs=st.integers(1, 12), sharpness=st.floats(0.5, 60))
def test_smooth_maximum_bounds(seed: int, inputs: int, sharpness: float) -> None:
    torch.manual_seed(seed)
    x = torch.rand(4, inputs, dtype=torch.double)
    moved = x + 0.3 * torch.randn_like(x)
    weight = torch.randn(5, inputs, dtype=torch.double)
    exact = OrderStatistics.apply(x, weight, 0.0)
    smooth = soft_distance(x, weight, sharpness)
    assert (smooth >= exact - 1e-12).all()
    assert (smooth <= exact + np.log(2 * inputs) / sharpness + 1e-12).all()
    change = (soft_distance(moved, weight, sharpness) - smooth).abs().amax(1)
    assert (change <= (moved - x).abs().amax(1) + 1e-12).all()


@pytest.mark.parametrize("decay", [0.3, 0.6])
def test_leaving_inputs_out_has_the_formula_as_expectation(decay: float) -> None:
    """Exactly: over all 2^n choices, not by sampling."""
    torch.manual_seed(0)
    x, weight = torch.rand(2, 7, dtype=torch.double), torch.rand(3, 7, dtype=torch.double)
    mean = torch.zeros(2, 3, dtype=torch.double)
    for choice in itertools.product([0.0, 1.0], repeat=7):
        kept = torch.tensor(choice, dtype=torch.double)
        share = float(((1 - decay) * kept + decay * (1 - kept)).prod())
        largest = ((x[:, None] - weight).abs() * kept).amax(2)
        mean += share * largest
        # The smooth maximum over what is kept is near the maximum over what is kept.
        near = soft_distance(x, weight, 400.0, kept.expand(2, 7))
        torch.testing.assert_close(near, largest, rtol=0, atol=0.01)
    torch.testing.assert_close(mean, OrderStatistics.apply(x, weight, decay))


def test_rank_weights_sum_to_less_than_one() -> None:
    assert rank_weights(0.0, 4, torch.zeros(())).tolist() == [1, 0, 0, 0]
    shares = rank_weights(0.5, 5, torch.zeros((), dtype=torch.double))
    assert float(shares.sum()) == pytest.approx(1 - 0.5**5)


def test_training_mode_sharpens_then_is_exact() -> None:
    torch.manual_seed(0)
    layer = Distance(20, 4, center=False, sharpness=(2.0, 50.0), exact=0.1).train()
    x = torch.rand(6, 20)
    exact = OrderStatistics.apply(x, layer.weight, 0.0)
    errors = []
    for layer.progress in (0.0, 0.5, 0.89, 0.9):
        errors.append(float((layer(x) - exact).abs().max()))
    assert errors[0] > errors[1] > errors[2] > errors[3] == 0


def test_centering_is_a_bias_outside_training() -> None:
    torch.manual_seed(0)
    layer = Distance(20, 4, exact=1.0).train()
    x = torch.rand(64, 20)
    for _ in range(200):
        trained = layer(x)
    torch.testing.assert_close(layer.eval()(x), trained, rtol=0, atol=1e-5)


def test_autocast_costs_little() -> None:
    torch.manual_seed(0)
    x, weight = torch.rand(8, 50), torch.randn(6, 50)
    exact = soft_distance(x, weight, 40.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = soft_distance(x, weight, 40.0)
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast, exact, rtol=0, atol=2.0**-7 / 40 * 2)


def test_refuses_impossible_arguments() -> None:
    for arguments in ((0, 1), (1, 0), (2, 2, 1.0), (2, 2, -0.1)):
        with pytest.raises(ValueError, match="found"):
            Distance(*arguments)
    with pytest.raises(ValueError, match="sharpness: found"):
        Distance(2, 2, sharpness=(3.0, 2.0))
    with pytest.raises(UsageError, match=r"model\.pool: found 9"):
        build_distance(LinfDistanceModel(pool=9), (1, 8, 8), 10)
    with pytest.raises(UsageError, match=r"model\.pool: found 2"):
        build_distance(LinfDistanceModel(pool=2), (64,), 10)


@pytest.mark.parametrize(
    "model",
    [
        LinfDistanceModel(widths=[12], pool=2),
        SortnetModel(widths=[12, 8], decay=0.4),
    ],
    ids=lambda model: model.name,
)
def test_plain_form_computes_and_certifies_the_same(
    tmp_path: Path, model: LinfDistanceModel
) -> None:
    torch.manual_seed(0)
    network = build_distance(model, (1, 8, 8), 4)
    x = torch.rand(96, 1, 8, 8)
    network.train()
    network(x)
    network.eval()
    graph, tensors = network_graph(network)
    last = graph["layers"][-1]
    assert last["op"] == "distance"
    assert float.fromhex(last["decay"]) == getattr(model, "decay", 0.0)
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())
    save_network(network, tmp_path / "model.safetensors")
    with torch.no_grad():
        logits = network(x)
    labels = logits.argmax(1)
    quick = radii(logits, labels, head_gaps(network.head, "linf"), body_constant(network, "linf"))
    torch.testing.assert_close(quick, worst_margin(logits, labels) / 2)
    proven = certify_points(
        load_network(tmp_path / "model.safetensors"),
        x.numpy(),
        labels.numpy(),
        norm="linf",
        arithmetic="real",
    )
    assert (proven.predictions == labels.numpy()).all()
    assert (proven.radii <= quick.numpy() + 1e-6).all()
    assert abs(proven.radii - quick.numpy()).max() < 1e-4
