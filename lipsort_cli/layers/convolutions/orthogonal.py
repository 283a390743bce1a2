"""Orthogonal convolutions as products of orthonormal matrices and projectors.

Block-orthogonal kernels: Xiao et al. (ICML 2018), Li et al. ("BCOP", NeurIPS 2019); with strides as
in Boissin et al. ("AOC", 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.errors import UsageError
from lipsort_cli.layers.activations import channels_lie_last
from lipsort_cli.layers.constraints import Constraint, Orthonormal
from lipsort_cli.layers.constraints.base import haar
from lipsort_cli.layers.convolutions.base import Convolution

_ORTHONORMAL = Orthonormal()


class OrthogonalConvolution(Convolution):
    """K = B_out * H * B_in: a convolution that is an isometry one way on infinite images.

    H [out, in s^2] with orthonormal rows or columns is a convolution of kernel and stride s (the
    stride). Each B is a product of pairs P + (I - P) z along one axis and then the other, with
    projectors P = V V^T, V [c, c/2] orthonormal: such a pair is a unitary filter of two taps, since
    P (I - P) = 0. So the product is orthogonal for every choice of orthonormal H and V; nothing is
    iterated, and the optimizer of :mod:`lipsort_cli.optim` moves H and the V's on their manifolds.
    The pairs that are missing to k taps stand where there are more channels: before H, one pixel
    apart, or behind it, s pixels apart.

    The layer is 1-Lipschitz in L2 with zero and circular padding. With circular padding and padded
    so that every pixel counts, all singular values are 1: it keeps the norm of the gradient where
    out <= in s^2, and loses nothing of its input where out >= in s^2.

    Args: as :class:`Convolution`; the kernel must be at least the stride (smaller ones lose pixels:
        :class:`ReshapedConvolution` has them), and dilation and stride coprime.

    Example:
        >>> layer = OrthogonalConvolution(4, 8, 3, padding=1)
        >>> layer(torch.zeros(1, 4, 6, 6)).shape
        torch.Size([1, 8, 6, 6])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel, **options)
        shape = self.geometry
        if kernel < shape.stride:
            raise UsageError(
                f"kernel: found {kernel} with stride {shape.stride}; an orthogonal convolution "
                "needs a kernel of at least its stride"
            )
        if gcd(shape.dilation, shape.stride) > 1:
            raise UsageError(
                f"dilation: found {shape.dilation} with stride {shape.stride}; an orthogonal "
                "convolution needs two numbers without a common factor"
            )
        behind = (kernel - shape.stride) // shape.stride if out_channels > in_channels else 0
        before = kernel - shape.stride * (1 + behind)
        self.before = Pairs(shape.group_in, before, shape.groups)
        self.behind = Pairs(shape.group_out, behind, shape.groups)
        matrix = haar(shape.groups, shape.group_out, shape.group_in * shape.stride**2)
        # One group's matrix stays a matrix: the optimizer is quicker with it.
        self.matrix = nn.Parameter(matrix[0] if shape.groups == 1 else matrix)

    def kernel(self) -> Tensor:
        shape = self.geometry
        s = shape.stride
        blocks = self.matrix.view(shape.groups, shape.group_out, shape.group_in, s, s)
        taps = blocks.permute(0, 3, 4, 1, 2)  # [groups, ty, tx, out, in]
        taps = self.before(taps, 1)
        taps = self.behind(taps.transpose(3, 4), s).transpose(3, 4)
        return taps.permute(0, 3, 4, 1, 2).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, out, H', W']; windows side by side are one product of matrices."""
        shape = self.geometry
        apart = shape.kernel != shape.stride or shape.padding or shape.dilation > 1
        if apart or shape.groups > 1 or x.dim() != 4:
            return super().forward(x)
        shape.check_input(x)
        stride = shape.stride
        height, width = (size - size % stride for size in x.shape[-2:])
        if channels_lie_last(x):
            # [N, H', W', s, s, C], whose last axis is copied as it lies.
            windows = x.movedim(1, -1)[:, :height, :width]
            windows = windows.unflatten(2, (-1, stride)).unflatten(1, (-1, stride))
            rows = windows.transpose(2, 3).flatten(3)
            matrix = self.matrix.view(-1, shape.in_channels, stride, stride).permute(0, 2, 3, 1)
            return nn.functional.linear(rows, matrix.flatten(1), self.bias).movedim(-1, 1)
        windows = x[..., :height, :width].unflatten(3, (-1, stride)).unflatten(2, (-1, stride))
        # Channels and pixels of a window first: [C, s, s, N, H', W'], in one pass over memory.
        return self.mixed(self.matrix, windows.permute(1, 3, 5, 0, 2, 4).flatten(0, 2))

    def constrained(self) -> Sequence[tuple[Constraint, nn.Parameter]]:
        """H and the V's: orthonormal."""
        stacks = [pairs.bases for pairs in (self.before, self.behind) if pairs.bases is not None]
        return [(_ORTHONORMAL, parameter) for parameter in (self.matrix, *stacks)]


class Pairs(nn.Module):
    """Unitary filters P + (I - P) z along both axes in turn, ``count`` along each.

    So many taps are added along each axis; of c = ``channels`` of one group, and ``groups`` such
    filters stand side by side.
    """

    def __init__(self, channels: int, count: int, groups: int) -> None:
        super().__init__()
        self.channels, self.count, self.groups = channels, count, groups
        self.bases: nn.Parameter | None = None
        """[2 * count * groups, c, c // 2]: one V for each axis, pair and group, axis fastest."""
        rank = channels // 2
        if count and rank:
            self.bases = nn.Parameter(haar(2 * count * groups, channels, rank))

    def forward(self, taps: Tensor, spacing: int) -> Tensor:
        """Compose with a kernel [groups, ty, tx, rows, c], whose columns the pairs act on.

        Returns [groups, ty + n, tx + n, rows, c], n = ``count * spacing``.
        """
        for pair in range(self.count):
            for axis in (1, 2):
                taps = self._pair(taps, pair, axis, spacing)
        return taps

    def _pair(self, taps: Tensor, pair: int, axis: int, spacing: int) -> Tensor:
        if self.bases is None:
            # A single channel: P is 0 and I in turn, so that the kernel stays near its middle.
            kept = taps if pair % 2 else torch.zeros_like(taps)
        else:
            bases = self.bases.unflatten(0, (self.count, 2, self.groups))[pair, axis - 1]
            flat = taps.flatten(1, 3)
            kept = ((flat @ bases) @ bases.mT).view(taps.shape)
        ahead = [0, 0, 0, 0, spacing, 0] if axis == 2 else [0, 0, 0, 0, 0, 0, spacing, 0]
        after = [0, 0, 0, 0, 0, spacing] if axis == 2 else [0, 0, 0, 0, 0, 0, 0, spacing]
        return nn.functional.pad(kept, after) + nn.functional.pad(taps - kept, ahead)
