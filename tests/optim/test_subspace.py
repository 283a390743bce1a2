"""Steps that rotate a weight within a subspace: closed forms, orthonormality, what they cost."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from lipsort_cli.layers.constraints import orthonormality_error
from lipsort_cli.optim import Stiefel
from lipsort_cli.optim.stiefel import first_basis, subspace_step_

SHAPES = [(40, 40), (24, 60), (60, 24), (3, 20, 30)]


def orthonormal(*shape: int) -> Tensor:
    empty = torch.empty(math.prod(shape[:-2]), *shape[-2:])
    return torch.stack([nn.init.orthogonal_(each) for each in empty]).reshape(shape)


@pytest.mark.parametrize("shape", [(9, 9), (5, 12), (12, 5)], ids=str)
def test_a_gradient_of_one_plane_rotates_it_by_cayleys_angle(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    weight, lr = orthonormal(*shape).double(), 0.3
    v = weight if shape[0] >= shape[1] else weight.T
    # a b^T gives the skew matrix a (V b)^T - (V b) a^T: one plane, if a is not V b.
    a, b = (torch.randn(n, 1, dtype=torch.double) for n in v.shape)
    plane = torch.linalg.qr(torch.cat([a, v @ b], 1))[0]
    skew = plane.T @ (a @ (v @ b).T - (v @ b) @ a.T) @ plane
    angle = -math.copysign(2 * math.atan(lr / 2), float(skew[0, 1]))
    rotation = torch.tensor(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    turned = v + plane @ (rotation.double() - torch.eye(2, dtype=torch.double)) @ (plane.T @ v)
    momentum = a @ b.T if v is weight else b @ a.T
    basis = first_basis(weight, 4)
    for _ in range(2):  # the second time the basis holds the plane
        moved = weight.clone()
        subspace_step_(moved, momentum, basis, lr, 12, 1, torch.double)
    assert torch.allclose(moved if v is weight else moved.T, turned, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_stay_orthonormal_and_descend(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight, target = orthonormal(*shape), torch.randn(shape)
    basis = first_basis(weight, 8)
    values = []
    for count in range(1, 101):
        values.append(float((weight * target).sum()))
        subspace_step_(weight, target, basis, 0.1, 3, count, dtype)
        assert orthonormality_error(weight) <= 1e-5
    # Downhill all the way to the least value there is: minus the nuclear norm.
    least = -float(torch.linalg.svdvals(target).sum())
    assert all(b < a for a, b in pairwise(values[:20]))
    assert values[-1] < 0.85 * least


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_extreme_gradients_leave_a_finite_orthonormal_weight(scale: float) -> None:
    weight = nn.Parameter(orthonormal(20, 20))
    start = weight.detach().clone()
    optimizer = Stiefel([weight], rank=4)
    for _ in range(3):
        weight.grad = scale * torch.randn(20, 20)
        optimizer.step()
    assert orthonormality_error(weight) <= 1e-5
    assert torch.equal(weight, start) == (scale == 0)


@pytest.mark.parametrize(("side", "within"), [(8, False), (9, True)])
def test_small_weights_move_in_all_directions(side: int, within: bool) -> None:
    torch.manual_seed(0)
    start, gradient = orthonormal(side, 30), torch.randn(side, 30)
    moved = []
    for rank in (None, 8):
        weight = nn.Parameter(start.clone())
        optimizer = Stiefel([weight], rank=rank)
        weight.grad = gradient.clone()
        optimizer.step()
        assert ("basis" in optimizer.state[weight]) == (within and rank is not None)
        moved.append(weight)
    assert torch.equal(*moved) != within
