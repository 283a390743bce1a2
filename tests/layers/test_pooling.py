"""Pooling, reshaping and composed layers: stated constants against explicit ones."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import operator
from torch import nn

from lipsort_cli.errors import UsageError
from lipsort_cli.layers import (
    AveragePool,
    Concatenate,
    Dense,
    DepthToSpace,
    L2Pool,
    MaxMin,
    MaxPool,
    Residual,
    SpaceToDepth,
    lipschitz_constant,
)
from lipsort_cli.layers.constraints import LinfSoftmax, Unconstrained

WINDOWS = [(2, 2), (3, 3), (3, 1), (3, 2), (2, 1), (2, 3), (1, 1), (5, 2)]
NORMS = {"l2": 2.0, "linf": math.inf, "l1": 1.0}


def norms(matrix: torch.Tensor) -> dict[str, float]:
    return {
        "l2": float(torch.linalg.matrix_norm(matrix, 2)),
        "linf": float(matrix.abs().sum(1).max()),
        "l1": float(matrix.abs().sum(0).max()),
    }


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("normalized", [False, True])
def test_average_pooling_against_its_operator(window: tuple[int, int], normalized: bool) -> None:
    layer = AveragePool(*window, normalized=normalized)
    for norm, true in norms(operator(layer, 2, 11, 11)).items():
        assert true <= layer.lipschitz(norm) * (1 + 1e-12), norm
        if window[0] % window[1] == 0 and (norm != "l2" or window[0] == window[1]):
            assert true == pytest.approx(layer.lipschitz(norm))
    if normalized:
        assert layer.lipschitz("l2") == pytest.approx(1)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("kind", [MaxPool, L2Pool])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_pools_never_lengthen_more_than_they_say(
    kind: type[nn.Module], window: tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    layer = kind(*window)
    x = torch.randn(4, 2, 7, 7, dtype=torch.double)
    y = x + torch.randn_like(x) * 10.0 ** torch.randint(-3, 1, (1,))
    # A single pixel moves: the worst for overlapping windows.
    y[0] = x[0]
    y[0, 0, 3, 3] += 50
    for norm, order in NORMS.items():
        moved = (layer(x) - layer(y)).flatten(1).norm(order, dim=1)
        allowed = layer.lipschitz(norm) * (x - y).flatten(1).norm(order, dim=1)
        assert bool((moved <= allowed * (1 + 1e-12)).all())


def test_constants_of_pools_are_reached() -> None:
    spike = torch.zeros(1, 1, 6, 6, dtype=torch.double)
    spike[..., 3, 3] = 1
    assert float(MaxPool(2, 1)(spike).norm()) == MaxPool(2, 1).lipschitz("l2")
    assert float(L2Pool(3)(torch.ones(1, 1, 6, 6)).max()) == L2Pool(3).lipschitz("linf")


def test_l2_pooling_keeps_gradients_and_zero() -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.double)
    x[0, 0, :2, :2] = 0
    x.requires_grad_()
    y = L2Pool(2)(x)
    assert torch.allclose(y.square().sum(), x.square().sum())
    y.sum().backward()
    assert x.grad is not None
    windows = torch.nn.functional.pixel_unshuffle(x.grad, 2).view(2, 3, 4, 2, 2)
    lengths = windows.norm(dim=2)
    assert float(lengths[0, 0, 0, 0]) == 0.0
    lengths[0, 0, 0, 0] = 1
    assert torch.allclose(lengths, torch.ones_like(lengths))


def test_space_to_depth_and_back() -> None:
    x = torch.randn(2, 3, 4, 6)
    deep = SpaceToDepth(2)(x)
    assert deep.shape == (2, 12, 2, 3)
    assert torch.equal(DepthToSpace(2)(deep), x)
    matrix = operator(SpaceToDepth(2), 2, 4, 4)
    assert torch.equal(matrix @ matrix.T, torch.eye(32, dtype=torch.double))
    with pytest.raises(UsageError, match="5x4 pixels"):
        SpaceToDepth(2)(torch.zeros(1, 1, 5, 4))


@pytest.mark.parametrize("kind", [AveragePool, MaxPool, L2Pool])
def test_windows_of_no_pixels_are_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(UsageError, match="kernel: found 0"):
        kind(0)


@pytest.mark.parametrize("branch", [0.1, 0.5, 0.9])
def test_residual_constants_hold(branch: float) -> None:
    torch.manual_seed(0)
    dense = Dense(6, 6, constraint=Unconstrained()).double()
    layer = Residual([dense], branch)
    for norm, true in norms(operator(nn.Sequential(nn.Flatten(), layer.double()), 1, 2, 3)).items():
        assert true <= layer.lipschitz(norm) * (1 + 1e-9)
    safe = Residual([Dense(6, 6), MaxMin(), Dense(6, 6)], branch)
    assert safe.lipschitz("l2") <= 1 + 1e-5
    assert float(safe.branch.detach()) == pytest.approx(branch)


def test_a_residual_block_learns_its_mixture() -> None:
    layer = Residual([Dense(4, 4)])
    layer(torch.randn(8, 4)).square().sum().backward()
    assert layer.logit.grad is not None
    fixed = Residual([Dense(4, 4)], learnt=False)
    assert not any(parameter is fixed.logit for parameter in fixed.parameters())
    assert "logit" in fixed.state_dict()


@pytest.mark.parametrize("branch", [0.0, 1.0, float("nan")])
def test_a_residual_block_refuses_what_is_no_mixture(branch: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        Residual([Dense(4, 4)], branch)


def test_concatenation_constants_hold() -> None:
    torch.manual_seed(0)
    layer = Concatenate(
        [[], [Dense(6, 4, constraint=Unconstrained())], [Dense(6, 2, constraint=LinfSoftmax())]]
    )
    whole = nn.Sequential(nn.Flatten(), layer)
    assert layer(torch.zeros(3, 6)).shape == (3, 12)
    for norm, true in norms(operator(whole, 1, 2, 3)).items():
        assert true <= layer.lipschitz(norm) * (1 + 1e-9)
    twice = Concatenate([[], []])
    assert twice.lipschitz("l2") == pytest.approx(2**0.5)
    assert twice.lipschitz("linf") == 1.0


def test_unknown_layers_and_norms_are_refused() -> None:
    with pytest.raises(TypeError, match="BatchNorm2d"):
        lipschitz_constant(nn.BatchNorm2d(3), "l2")
    for layer in (Dense(2, 2), MaxPool(2), AveragePool(2), L2Pool(2), Concatenate([[]])):
        with pytest.raises(ValueError, match="l2, linf, l1"):
            lipschitz_constant(layer, "l3")
