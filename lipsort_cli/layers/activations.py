"""Activations that keep a network's Lipschitz constant known.

GroupSort, MaxMin, FullSort and the absolute value keep the norm of the gradient as well
(Anil, Lucas, Grosse: "Sorting Out Lipschitz Function Approximation", ICML 2019); the others are the
counterparts that they are compared with. Every activation here is 1-Lipschitz in every lp norm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lipsort_cli.arguments import whole
from lipsort_cli.errors import UsageError

Comparators = tuple[tuple[int, int], ...]

_NETWORKS: dict[int, Comparators] = {
    # Batcher's odd-even merge sort: each pair (i, j) leaves the smaller value at i.
    2: ((0, 1),),
    4: ((0, 1), (2, 3), (0, 2), (1, 3), (1, 2)),
    8: (
        *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
        *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
    ),
}


class _SortingNetwork(torch.autograd.Function):
    """Sorts axis ``dim`` of [..., k, ...] by a sorting network of minimum and maximum.

    Much faster than a sort for small k. Differentiating ``minimum`` and ``maximum`` would give half
    the gradient to each side of a tie and lose norm; here the backward pass undoes the very
    exchanges of the forward pass, so it is a permutation always. ``lerp`` with a weight of exactly
    0 or 1 is an exact choice, and many times faster than ``where`` on a CPU.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        parts = _parts(x, dim)
        kept = []
        for i, j in _NETWORKS[len(parts)]:
            low, high = parts[i], parts[j]
            kept.append((low <= high).to(x.dtype))
            parts[i], parts[j] = torch.minimum(low, high), torch.maximum(low, high)
        return _joined(parts, dim, x), torch.stack(kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.save_for_forward(output[1])
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return _exchanged(gradient, kept, ctx.dim, -1), None


class _ForwardToo(_SortingNetwork):
    """The same with derivatives in forward mode, which torch.compile knows nothing of."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return _exchanged(tangent, kept, ctx.dim, 1), None


def _exchanged(x: Tensor, kept: Tensor, dim: int, step: int) -> Tensor:
    """``x`` after the exchanges that were ``kept``, or with ``step`` -1 before them."""
    parts = _parts(x, dim)
    for (i, j), keep in list(zip(_NETWORKS[len(parts)], kept.unbind(0), strict=True))[::step]:
        low, high = parts[i], parts[j]
        parts[i], parts[j] = torch.lerp(high, low, keep), torch.lerp(low, high, keep)
    return _joined(parts, dim, x)


def _parts(x: Tensor, dim: int) -> list[Tensor]:
    """The slices along ``dim``, copied where their neighbours do not lie beside one another."""
    return [part if part.stride(-1) == 1 else part.contiguous() for part in x.unbind(dim)]


def _joined(parts: list[Tensor], dim: int, like: Tensor) -> Tensor:
    """``torch.stack``, which is several times slower for few parts along the last axis."""
    if torch.is_grad_enabled() and any(part.requires_grad for part in parts):
        return torch.stack(parts, dim)  # a second derivative is being recorded
    result = torch.empty_like(like, memory_format=torch.contiguous_format)
    for i, part in enumerate(parts):
        result.select(dim, i).copy_(part)
    return result


class _Order(torch.autograd.Function):
    """The permutation that sorts axis ``dim``, int64 of the shape of x; ties in any order.

    On a CPU it is NumPy's, whose argsort is vectorised (AVX2, AVX-512): for groups of 16 and more
    several times faster than torch's. NaN goes last in both.
    """

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        if x.device.type != "cpu":
            return x.argsort(dim)
        keys = x.detach()
        if keys.dtype not in (torch.float32, torch.float64):
            keys = keys.float()  # exact, and NumPy has no bfloat16
        return torch.from_numpy(np.argsort(keys.numpy(), axis=dim))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[None, None]:
        return None, None

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> None:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], x: Tensor, dim: int) -> tuple[Tensor, int]:
        return _Order.apply(x.movedim(in_dims[0], 0), dim + 1), 0


def _sort(x: Tensor, dim: int) -> Tensor:
    """Sort axis ``dim`` >= 0 ascending; the gradient is permuted back."""
    if torch.compiler.is_compiling():
        return x.sort(dim=dim).values  # what is traced must be torch's
    return x.gather(dim, _Order.apply(x, dim))


def group_sort(x: Tensor, group_size: int, dim: int = -1) -> Tensor:
    """Sort contiguous groups of ``group_size`` features in ascending order.

    Args:
        x: [..., n, ...] with the features on axis ``dim``; any floating dtype.
        group_size: features a group; must divide n. Output i*k+j is the (j+1)-th smallest of
            x[i*k], ..., x[i*k+k-1].
        dim: the feature axis.

    Returns:
        A tensor of the shape and dtype of ``x``; exact: values are moved, never computed.

    Raises:
        UsageError: ``group_size`` does not divide the number of features.

    Example:
        >>> group_sort(torch.tensor([[3.0, 1.0, 2.0, 5.0]]), 2)
        tensor([[1., 3., 2., 5.]])
    """
    features = x.shape[dim]
    check_group_size(features, group_size)
    dim = dim % x.dim()
    if dim == 1 and not x.is_contiguous() and x.transpose(0, 1).is_contiguous():
        # Channels come first in memory, as a product over them leaves images: sorted as they lie.
        return group_sort(x.transpose(0, 1), group_size, 0).transpose(0, 1)
    if dim == 1 and channels_lie_last(x):
        return group_sort(x.movedim(1, -1), group_size, -1).movedim(-1, 1)
    if group_size not in _NETWORKS and group_size == features:
        return _sort(x, dim)
    groups = x.unflatten(dim, (features // group_size, group_size))
    if group_size in _NETWORKS:
        rule = _SortingNetwork if torch.compiler.is_compiling() else _ForwardToo
        sorted_groups, _ = rule.apply(groups, dim + 1)
    else:
        sorted_groups = _sort(groups, dim + 1)
    return sorted_groups.flatten(dim, dim + 1)


def channels_lie_last(x: Tensor) -> bool:
    """Whether a pixel's channels of images [N, C, H, W] lie side by side in memory."""
    return x.dim() == 4 and not x.is_contiguous() and x.movedim(1, -1).is_contiguous()


def check_group_size(features: int, group_size: int) -> None:
    """Refuse a group size that does not divide the number of features."""
    if group_size < 1 or features % group_size:
        below = features // group_size * group_size if group_size > 0 else 0
        near = f"{below} or {below + group_size}" if below else f"{group_size}"
        raise UsageError(
            f"{features} features cannot be divided into groups of {group_size}; "
            f"use a width such as {near}, or another group size"
        )


class Grouped(nn.Module):
    """What activations over contiguous groups of ``group_size`` features on axis ``dim`` share."""

    def __init__(self, group_size: int, dim: int = -1) -> None:
        super().__init__()
        self.group_size, self.dim = whole("group_size", group_size), dim

    def extra_repr(self) -> str:
        return f"group_size={self.group_size}"


class GroupSort(Grouped):
    """GroupSort: contiguous groups of ``group_size`` features, each sorted ascending.

    The Jacobian is a permutation, so the layer is 1-Lipschitz in every lp norm and preserves the
    norm of the gradient. Shapes: [..., n, ...] to the same; see :func:`group_sort`.
    """

    def forward(self, x: Tensor) -> Tensor:
        return group_sort(x, self.group_size, self.dim)


class MaxMin(GroupSort):
    """GroupSort with groups of 2: (min, max) of each neighbouring pair, in this order."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__(2, dim)


class FullSort(nn.Module):
    """GroupSort with one group: all features sorted ascending."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return group_sort(x, x.shape[self.dim], self.dim)


class Maxout(Grouped):
    """Maximum of each contiguous group: [..., n] to [..., n / group_size].

    1-Lipschitz; the gradient reaches only the largest feature of a group.
    """

    def forward(self, x: Tensor) -> Tensor:
        check_group_size(x.shape[self.dim], self.group_size)
        dim = self.dim % x.dim()
        groups = x.unflatten(dim, (x.shape[dim] // self.group_size, self.group_size))
        # max with indices gives the whole gradient to one of tied features, amax divides it.
        return groups.max(dim + 1).values


class AbsoluteValue(nn.Module):
    """|x| elementwise: 1-Lipschitz, preserves the gradient norm away from 0."""

    def forward(self, x: Tensor) -> Tensor:
        # abs has gradient 0 at 0; where keeps the map norm-preserving there as well.
        return torch.where(x < 0, -x, x)


ACTIVATIONS: dict[str, Callable[[Any, int], nn.Module]] = {
    "maxmin": lambda config, dim: MaxMin(dim),
    "groupsort": lambda config, dim: GroupSort(config.group_size, dim),
    "fullsort": lambda config, dim: FullSort(dim),
    "relu": lambda config, dim: nn.ReLU(),
    "leaky_relu": lambda config, dim: nn.LeakyReLU(config.slope),
    "absolute_value": lambda config, dim: AbsoluteValue(),
    "maxout": lambda config, dim: Maxout(config.group_size, dim),
    "tanh": lambda config, dim: nn.Tanh(),
    "sigmoid": lambda config, dim: nn.Sigmoid(),
    "identity": lambda config, dim: nn.Identity(),
}
"""An activation from its configuration and the axis of features, by the option's name."""
