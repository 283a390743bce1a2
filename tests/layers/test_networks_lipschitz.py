"""Networks of the zoo: 1-Lipschitz on random and adversarial pairs, gradient norm preserved."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import jacrev

from lipsort_cli.layers import AbsoluteValue, FullSort, GroupSort, MaxMin, Maxout
from lipsort_cli.layers.constraints import (
    Bjorck,
    LinfProjection,
    LinfSoftmax,
    Orthonormal,
    Spectral,
)
from lipsort_cli.zoo import Network, build_mlp

ACTIVATIONS = {
    "maxmin": MaxMin,
    "groupsort4": lambda: GroupSort(4),
    "fullsort": FullSort,
    "absolute_value": AbsoluteValue,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.3),
    "maxout": lambda: Maxout(2),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def lengthen(network: Network, x: Tensor, order: float) -> float:
    """Largest ratio ||f(x) - f(x')|| / ||x - x'|| that random pairs and gradient ascent find."""
    worst = 0.0
    other = (x + 0.1 * torch.randn_like(x)).requires_grad_()
    optimizer = torch.optim.Adam([other], lr=0.02)
    for _ in range(25):
        distance = (x - other).flatten(1).norm(order, dim=1)
        ratio = (network(x) - network(other)).norm(order, dim=1) / distance
        worst = max(worst, float(ratio.detach().max()))
        optimizer.zero_grad()
        (-ratio.sum()).backward()
        optimizer.step()
    return worst


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_lipschitz_in_l2(name: str, factor: float) -> None:
    torch.manual_seed(0)
    for constraint in (Orthonormal, Spectral, Bjorck):
        network = build_mlp(
            (3, 4), 5, [16, 16], ACTIVATIONS[name], constraint, lipschitz=factor
        ).double()
        network.eval()
        found = lengthen(network, torch.randn(8, 3, 4, dtype=torch.double), 2)
        assert found <= factor * (1 + 1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_lipschitz_in_linf(name: str) -> None:
    torch.manual_seed(0)
    for constraint in (LinfSoftmax, LinfProjection):
        network = build_mlp((12,), 5, [16, 16], ACTIVATIONS[name], constraint).double().eval()
        found = lengthen(network, torch.randn(8, 12, dtype=torch.double), float("inf"))
        assert found <= 1 + 1e-6


@pytest.mark.parametrize("name", ["maxmin", "groupsort4", "fullsort", "absolute_value"])
def test_gradient_norm_is_preserved_where_the_theory_says_so(name: str) -> None:
    # Widths that do not grow towards the output: W^T keeps the norm of what it is given.
    torch.manual_seed(0)
    network = build_mlp((24,), 3, [24, 16], ACTIVATIONS[name]).double()
    x = torch.randn(4, 24, dtype=torch.double)
    jacobian = jacrev(lambda row: network(row[None])[0])
    for row in x:
        singular = torch.linalg.svdvals(jacobian(row))
        assert torch.allclose(singular, torch.ones_like(singular), atol=1e-6)


def test_relu_does_not_preserve_gradient_norm() -> None:
    torch.manual_seed(0)
    network = build_mlp((24,), 3, [24, 16], nn.ReLU).double()
    singular = torch.linalg.svdvals(
        jacrev(lambda row: network(row[None])[0])(torch.randn(24, dtype=torch.double))
    )
    assert float(singular.detach().min()) < 0.9


def test_lipschitz_factor_scales_the_slope() -> None:
    torch.manual_seed(0)
    network = build_mlp((6,), 1, [6], lipschitz=3.0).double()
    x = torch.randn(6, dtype=torch.double)
    gradient = jacrev(lambda row: network(row[None])[0, 0])(x)
    assert float(gradient.norm()) == pytest.approx(3.0, abs=1e-6)
