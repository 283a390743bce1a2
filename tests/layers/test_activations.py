"""Activations: order, exactness, gradients at ties, refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import jacfwd, jacrev, jvp

from lipsort_cli.errors import UsageError
from lipsort_cli.layers import AbsoluteValue, FullSort, GroupSort, MaxMin, Maxout, group_sort

SIZES = [1, 2, 3, 4, 5, 8, 16]


@pytest.mark.parametrize("group_size", SIZES)
@pytest.mark.parametrize("groups", [1, 3])
def test_groups_are_sorted_ascending_and_contiguous(group_size: int, groups: int) -> None:
    x = torch.randn(7, groups * group_size)
    expected = x.view(7, groups, group_size).sort(-1).values.flatten(1)
    assert torch.equal(group_sort(x, group_size), expected)


@pytest.mark.parametrize("dim", [1, -1, -3])
def test_the_feature_axis_may_be_any(dim: int) -> None:
    x = torch.randn(2, 8, 8, 8)
    moved = group_sort(x.movedim(dim, -1), 4).movedim(-1, dim)
    assert torch.equal(GroupSort(4, dim)(x), moved)


@pytest.mark.parametrize("group_size", [2, 4, 3, 12])
@pytest.mark.parametrize("axis", [0, -1])
def test_channels_that_come_first_or_last_in_memory_stay_there(group_size: int, axis: int) -> None:
    images = torch.randn(3, 12, 4, 5)
    x = images.movedim(1, axis).contiguous().movedim(axis, 1).requires_grad_()
    weight = torch.randn(3, 12, 4, 5)
    found = group_sort(x, group_size, 1)
    (gradient,) = torch.autograd.grad((found * weight).sum(), x)
    assert found.movedim(1, axis).is_contiguous()
    plain = images.requires_grad_()
    expected = group_sort(plain, group_size, 1)
    assert torch.equal(found, expected)
    assert torch.equal(gradient, torch.autograd.grad((expected * weight).sum(), plain)[0])


def test_maxmin_and_fullsort_are_groupsort() -> None:
    x = torch.randn(5, 12)
    assert torch.equal(MaxMin()(x), GroupSort(2)(x))
    assert torch.equal(FullSort()(x), x.sort(1).values)


@given(st.sampled_from(SIZES), st.integers(0, 10**6))
def test_ties_do_not_lose_gradient_norm(group_size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Small integers: nearly every group has ties.
    x = torch.randint(-1, 2, (group_size * 2,), generator=generator).double()
    jacobian = jacrev(lambda row: group_sort(row[None], group_size)[0])(x)
    assert torch.equal(jacobian @ jacobian.T, torch.eye(len(x), dtype=torch.double))


@pytest.mark.parametrize("layer", [GroupSort(4), MaxMin(), FullSort(), AbsoluteValue()])
def test_values_are_moved_never_computed(layer: torch.nn.Module) -> None:
    x = torch.randn(3, 8).mul(1e30)
    assert torch.equal(layer(x).abs().sort(1).values, x.abs().sort(1).values)


def test_absolute_value_keeps_gradient_at_zero() -> None:
    x = torch.tensor([0.0, -2.0, 3.0], requires_grad=True)
    AbsoluteValue()(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, -1.0, 1.0]


def test_maxout_takes_the_largest_and_one_of_a_tie() -> None:
    x = torch.tensor([[1.0, 4.0, 2.0, 2.0]], requires_grad=True)
    y = Maxout(2)(x)
    assert y.tolist() == [[4.0, 2.0]]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.norm() == pytest.approx(2**0.5)


@pytest.mark.parametrize("layer", [GroupSort(4), Maxout(4)])
def test_a_width_that_does_not_divide_is_refused_by_name(layer: torch.nn.Module) -> None:
    with pytest.raises(UsageError, match=r"10 features.*groups of 4.*8 or 12"):
        layer(torch.zeros(1, 10))


def test_nan_stays_nan() -> None:
    x = torch.tensor([[float("nan"), 1.0]])
    assert bool(MaxMin()(x).isnan().any())
    x = torch.tensor([[2.0, float("nan"), float("inf"), -float("inf"), 1.0]])
    assert FullSort()(x)[0, :4].tolist() == [-float("inf"), 1.0, 2.0, float("inf")]
    assert bool(FullSort()(x)[0, 4].isnan())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("group_size", [4, 16, 48])
def test_every_dtype_is_sorted_as_torch_sorts_it(dtype: torch.dtype, group_size: int) -> None:
    x = torch.randn(5, 48, 3).to(dtype).requires_grad_()
    expected = x.unflatten(1, (-1, group_size)).sort(2).values.flatten(1, 2)
    slopes = torch.randn(5, 48, 3).to(dtype)
    assert torch.equal(group_sort(x, group_size, 1), expected)
    (own,) = torch.autograd.grad(group_sort(x, group_size, 1), x, slopes)
    (other,) = torch.autograd.grad(expected, x, slopes)
    if dtype in (torch.float32, torch.float64):  # without ties there is one permutation only
        assert torch.equal(own, other)
    assert torch.equal(own.flatten(1).sort(1).values, slopes.flatten(1).sort(1).values)


@pytest.mark.parametrize("group_size", [2, 12])
def test_a_traced_sort_is_torch_s_own(group_size: int) -> None:
    x = torch.randn(3, 12)
    exported = torch.export.export(GroupSort(group_size), (x,)).module()
    assert torch.equal(exported(-x), group_sort(-x, group_size))


def test_a_hessian_passes_through_a_full_sort() -> None:
    weights = torch.arange(5, dtype=torch.double)
    x = torch.randn(5, dtype=torch.double)
    hessian = torch.func.hessian(lambda row: (weights * group_sort(row, 5) ** 2).sum())(x)
    assert torch.equal(hessian, torch.diag(2 * weights[x.argsort().argsort()]))


@pytest.mark.parametrize("group_size", [2, 3, 4, 8])
def test_first_and_second_derivatives(group_size: int) -> None:
    x = torch.randn(3, 2 * group_size, dtype=torch.double, requires_grad=True)

    def bent(z: torch.Tensor) -> torch.Tensor:
        return group_sort(z.sin() * z, group_size).square()

    assert torch.autograd.gradcheck(bent, x)
    assert torch.autograd.gradgradcheck(bent, x)


@pytest.mark.parametrize("group_size", [2, 4, 5])
def test_works_under_function_transforms(group_size: int) -> None:
    x = torch.randn(6, 2 * group_size)
    batched = torch.vmap(jacrev(lambda row: group_sort(row, group_size)))(x)
    single = torch.stack([jacrev(lambda row: group_sort(row, group_size))(row) for row in x])
    assert torch.equal(batched, single)


@pytest.mark.parametrize("group_size", SIZES)
def test_derivatives_in_forward_mode_are_those_backwards(group_size: int) -> None:
    x = torch.randint(-1, 2, (2, 2 * group_size)).double()  # nearly every group has ties

    def sort(z: torch.Tensor) -> torch.Tensor:
        return group_sort(z, group_size)

    assert torch.equal(jacfwd(sort)(x), jacrev(sort)(x))
    value, tangent = jvp(sort, (x,), (x,))
    assert torch.equal(value, tangent)


def test_group_of_one_is_the_identity() -> None:
    x = torch.randn(3, 5)
    assert torch.equal(group_sort(x, 1), x)
