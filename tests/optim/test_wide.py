"""Steps by Gram matrices: those of the other form, for every shape, and left to it where not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lipsort_cli.layers.constraints import orthonormality_error
from lipsort_cli.layers.constraints.polar import approximate_polar, polar_polynomial
from lipsort_cli.optim import Stiefel, optimizer, wide
from lipsort_cli.optim.stiefel import stiefel_step_
from lipsort_cli.optim.wide import is_wide, wide_step_

SHAPES = [(1, 9), (12, 50), (50, 12), (3, 10, 41), (3, 41, 10), (20, 20)]


def orthonormal(*shape: int) -> Tensor:
    weight = torch.empty(shape[-2:], dtype=torch.double)
    return nn.init.orthogonal_(weight).expand(shape).clone()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("lr", [1e-3, 0.03, 0.15])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_it_is_the_other_step(shape: tuple[int, ...], lr: float, scale: float) -> None:
    torch.manual_seed(0)
    weight, momentum = orthonormal(*shape), torch.randn(shape, dtype=torch.double)
    expected, found = weight.clone(), weight.clone()
    stiefel_step_(expected, momentum * scale, lr, 3, torch.double)
    assert wide_step_(found, momentum * scale, lr, 3)
    # Both retract to 1e-6 of ||W W^T - I||.
    assert (found - expected).abs().max() <= 2e-6
    assert orthonormality_error(found) <= 2e-6


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_the_polynomial_is_that_of_the_direction(steps: int) -> None:
    x = torch.randn(7, 60, dtype=torch.double)
    expected = approximate_polar(x, steps, torch.double)
    # The bound that scales x is taken in single precision there.
    assert torch.allclose(polar_polynomial(x @ x.T, steps) @ x, expected, atol=1e-5)
    assert torch.equal(polar_polynomial(torch.zeros(3, 3), steps).isfinite(), torch.ones(3, 3) > 0)


@pytest.mark.parametrize("shape", [(130, 600), (600, 130)], ids=str)
def test_errors_of_single_precision_do_not_add_up(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    weight = orthonormal(*shape).float()
    for _ in range(60):
        # Mostly normal to the manifold, which cancels.
        assert wide_step_(weight, torch.randn(shape) + 50 * weight, 0.03, 3)
        assert orthonormality_error(weight) <= 5e-6


@pytest.mark.parametrize("shape", [(130, 600), (2, 600, 130)], ids=str)
@pytest.mark.parametrize("lr", [1e-4, 1e-2, 0.1])
@pytest.mark.parametrize("share", [0, 1e-6, 1e-3])
def test_what_rounding_leaves_of_a_normal_momentum_stays_on_the_manifold(
    shape: tuple[int, ...], lr: float, share: float
) -> None:
    """Momentum W, or S W of a symmetric S, has no tangent part but rounding."""
    torch.manual_seed(0)
    weight = orthonormal(*shape).float()
    tall = shape[-2] > shape[-1]
    side = torch.randn(*shape[:-2], 130, 130)
    side = side + side.mT
    for normal in (weight.clone(), weight @ side if tall else side @ weight):
        found = weight.clone()
        assert wide_step_(found, normal + share * torch.randn(shape), lr, 3)
        assert orthonormality_error(found) <= 5e-6
        length = torch.linalg.matrix_norm((found - weight).double(), 2).max()
        assert length <= 2 * lr


@pytest.mark.parametrize("momentum", [float("nan"), float("inf"), 1.0])
def test_what_it_cannot_retract_is_untouched(momentum: float) -> None:
    weight = orthonormal(4, 30) * (1 if momentum != 1 else 1.5)
    before = weight.clone()
    assert not wide_step_(weight, torch.full((4, 30), momentum, dtype=torch.double), 0.1, 3)
    assert torch.equal(weight, before)


def test_the_optimizer_takes_it_for_wide_weights_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide, "fast_dtype", lambda _: torch.float32)
    taken = []

    def noted(weight: Tensor, *arguments: float) -> bool:
        taken.append(tuple(weight.shape))
        return wide_step_(weight, *arguments)

    monkeypatch.setattr(optimizer, "wide_step_", noted)
    shapes = [(128, 512), (512, 128), (2, 128, 512), (128, 511), (127, 4000), (512, 512)]
    weights = [nn.Parameter(orthonormal(*shape).float()) for shape in shapes]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    Stiefel(weights, lr=0.5).step()  # so long that it is left to the other form
    Stiefel(weights, lr=0.05).step()
    assert taken == 2 * shapes[:3]
    assert all(orthonormality_error(weight) <= 1e-5 for weight in weights if weight.dim() == 2)
    monkeypatch.setattr(wide, "fast_dtype", lambda _: torch.bfloat16)
    assert not any(map(is_wide, weights))
