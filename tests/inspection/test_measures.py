"""Jacobians, spectra and activity against closed forms and explicit matrices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from lipsort_cli.inspection import operators
from lipsort_cli.inspection.activity import activities
from lipsort_cli.inspection.diagnostics import diagnostics
from lipsort_cli.inspection.jacobian import jacobians
from lipsort_cli.inspection.operators import layer_spectra
from lipsort_cli.layers import AbsoluteValue, FullSort, GroupSort, MaxMin, Maxout, Scale
from lipsort_cli.zoo import build_mlp


def points(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("inputs", "outputs"), [(7, 3), (3, 7), (4, 1)])
def test_a_linear_networks_jacobian_is_its_matrix(inputs: int, outputs: int) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 5), nn.Linear(5, outputs))
    depths = jacobians(network, points(6, inputs))
    first, second = network[1].weight, network[2].weight
    for row in depths.jacobians[0]:
        torch.testing.assert_close(row, second @ first)
    for row in depths.jacobians[1]:
        torch.testing.assert_close(row, second)
    assert depths.names == ["input", "Linear"]
    expected = torch.linalg.svdvals((second @ first).double())
    # The smallest values come from a Gram matrix: absolute accuracy, not relative.
    torch.testing.assert_close(
        depths.singular_values()[0][0], expected.detach(), atol=1e-6, rtol=1e-6
    )


def test_jacobians_agree_with_jacrev() -> None:
    network = build_mlp((1, 4, 4), 5, [12, 12], MaxMin)
    x = points(3, 1, 4, 4)
    expected = torch.func.vmap(torch.func.jacrev(lambda one: network(one[None])[0]))(x)
    torch.testing.assert_close(jacobians(network, x).jacobians[0], expected.flatten(2))


def test_the_margins_gradient_is_that_of_its_value() -> None:
    network = build_mlp((6,), 4, [8, 8], nn.ReLU)
    x, labels = points(5, 6), torch.tensor([0, 1, 2, 3, 0])
    inside = x.clone().requires_grad_(True)
    logits = network(inside)
    rows = torch.arange(5)
    others = logits.clone()
    others[rows, labels] = -torch.inf
    margin = logits[rows, labels] - others.max(1).values
    (expected,) = torch.autograd.grad(margin.sum(), inside)
    depths = jacobians(network, x)
    torch.testing.assert_close(depths.margin_gradients(labels)[0], expected)
    norms = depths.gradient_norms(labels, "linf")
    torch.testing.assert_close(norms[:, 0], expected.double().abs().sum(1))


@pytest.mark.parametrize("lipschitz", [1.0, 10.0])
def test_sorting_keeps_the_gradient_and_relu_does_not(lipschitz: float) -> None:
    x, labels = points(20, 16), torch.arange(20) % 4
    kept = {}
    for name, activation in (("maxmin", MaxMin), ("relu", nn.ReLU)):
        network = build_mlp((16,), 4, [16, 16, 16], activation, lipschitz=lipschitz)
        kept[name] = diagnostics(network, x, labels)["gradient_kept"]
    assert kept["maxmin"] == pytest.approx(1, abs=1e-5)
    assert kept["relu"] < 0.7


def test_diagnostics_leave_no_trace() -> None:
    network = build_mlp((6,), 3, [8], MaxMin, dropout=0.5)
    network.train()
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in network.state_dict().items()}
    diagnostics(network, points(4, 6), torch.zeros(4, dtype=torch.long))
    assert network.training
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


# --- activity ---------------------------------------------------------------------------------

ROWS = torch.tensor([[1.0, 2.0, -4.0, -3.0], [2.0, 1.0, -4.0, -3.0]])


@pytest.mark.parametrize(
    ("layer", "share", "linear", "dead"),
    [
        (nn.ReLU(), 0.5, 1.0, 0.5),
        (nn.LeakyReLU(0.1), 0.5, 1.0, None),
        (AbsoluteValue(), 0.5, 1.0, None),
        (GroupSort(2), 0.25, 0.5, None),  # the first pair in one of two rows, the second never
        (MaxMin(), 0.25, 0.5, None),
        (FullSort(), 0.5, 2 / 3, None),  # of three neighbouring pairs; the middle one always
        (Maxout(2), 0.75, 0.5, None),
        (nn.Tanh(), 0.5, 1.0, None),  # from |x| about 1.82 on the slope is below 0.1
    ],
)
def test_activity_of_known_rows(
    layer: nn.Module, share: float, linear: float, dead: float | None
) -> None:
    if isinstance(layer, nn.Tanh):
        share, linear = 6 / 8, 0.5
    (found,) = activities(nn.Sequential(layer), ROWS)
    assert (found.share, found.linear, found.dead) == pytest.approx((share, linear, dead))


def test_activations_are_found_wherever_they_are() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 4), MaxMin()))
    found = activities(network, ROWS)
    assert [(a.name, a.type) for a in found] == [("1.0", "ReLU"), ("1.2", "MaxMin")]


def test_images_have_their_features_on_the_first_axis() -> None:
    x = torch.zeros(1, 2, 3, 5)
    x[:, 0] = 1  # every pixel has its two channels in the wrong order
    assert activities(nn.Sequential(nn.Identity(), nn.ReLU()), x)[0].share == 0.5


# --- singular values --------------------------------------------------------------------------


def explicit(module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The matrix of an affine module, column by column, in float64."""
    module = module.double()
    identity = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    with torch.no_grad():
        return (module(identity) - module(torch.zeros_like(identity[:1]))).flatten(1).T


@pytest.mark.parametrize(
    ("channels", "stride", "padding"), [((1, 4), 1, 1), ((3, 2), 2, 0), ((2, 2), 1, 0)]
)
@pytest.mark.parametrize("large", [False, True])
def test_a_convolution_is_taken_on_its_padded_input(
    channels: tuple[int, int],
    stride: int,
    padding: int,
    large: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if large:
        monkeypatch.setattr(operators, "EXPLICIT_SIDE", 0)
    conv = nn.Conv2d(*channels, 3, stride, padding)
    shape = (channels[0], 6, 7)
    (found,) = layer_spectra(nn.Sequential(conv), torch.zeros(1, *shape))
    expected = torch.linalg.svdvals(explicit(conv, shape)).detach().numpy()
    assert found.complete is not large
    assert found.shape == (len(explicit(conv, shape)), math.prod(shape))
    if large:
        assert 0 < len(found.values) < len(expected)
    assert found.values == pytest.approx(expected[: len(found.values)], abs=1e-4)


def test_a_dense_layers_singular_values_are_complete() -> None:
    layer = nn.Linear(7, 3)
    (found,) = layer_spectra(nn.Sequential(nn.Flatten(), layer, Scale(5.0)), torch.zeros(1, 7))
    assert found.shape == (3, 7) and found.complete
    assert found.values == pytest.approx(torch.linalg.svdvals(layer.weight).detach().numpy())
