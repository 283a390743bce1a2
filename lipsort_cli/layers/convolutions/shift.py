"""Convolutions that move channels by a pixel and mix them at each: no taps to multiply with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.errors import UsageError
from lipsort_cli.layers.constraints import Constraint, Orthonormal
from lipsort_cli.layers.constraints.base import haar
from lipsort_cli.layers.convolutions.base import Convolution

_ORTHONORMAL = Orthonormal()
_TAPS = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))
"""Of each part of the input channels, its rows and columns from the pixel, in order."""


class ShiftConvolution(Convolution):
    """K[o, i, t] = H[o, i] where t is the tap of input channel i, and 0 elsewhere.

    Fifths of the channels, rounded down, are read k // 2 taps above, below, left and right of the
    pixel, and the rest at the pixel (so all, where there are fewer than five); H [out, in] with
    orthonormal rows or columns mixes them. Its response at every frequency w is H diag(e^(i w t)):
    as orthonormal as H, with nothing composed and a product of one pixel's channels for the k^2 of
    a kernel. With circular padding it is an isometry one way; with zeros the outermost pixels of
    shifted channels are lost ("shift" of Wu et al., CVPR 2018; with orthonormal matrices "LipNeXt",
    ICLR 2026).

    Args: as :class:`Convolution`, with an odd kernel, stride 1, as many pixels of padding as keep
        the image's size, and no groups.

    Example:
        >>> layer = ShiftConvolution(4, 8, 3, padding=1, padding_mode="circular")
        >>> layer(torch.zeros(1, 4, 6, 6)).shape
        torch.Size([1, 8, 6, 6])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel, **options)
        shape = self.geometry
        reach = shape.dilation * (kernel // 2)
        if kernel % 2 == 0 or shape.stride > 1 or shape.groups > 1 or shape.padding != reach:
            raise UsageError(
                f"convolution: found shift with kernel {kernel}, stride {shape.stride}, padding "
                f"{shape.padding}, groups {shape.groups}; it takes an odd kernel, stride 1, one "
                f"group and the padding that keeps the size, here {reach}"
            )
        self.reach = reach
        self.matrix = nn.Parameter(haar(out_channels, in_channels))

    def parts(self) -> list[int]:
        """Channels in each part."""
        fifth = self.geometry.in_channels // 5
        return [fifth] * 4 + [self.geometry.in_channels - 4 * fifth]

    def kernel(self) -> Tensor:
        """The kernel [out, in, k, k], one tap a channel."""
        size = self.geometry.kernel
        whole = self.matrix.new_zeros(*self.matrix.shape, size, size)
        middle, start = size // 2, 0
        for (row, column), count in zip(_TAPS, self.parts(), strict=True):
            at = slice(start, start + count)
            whole[:, at, middle + row * middle, middle + column * middle] = self.matrix[:, at]
            start += count
        return whole

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, out, H, W]: the convolution with the kernel, by shifts."""
        if x.dim() != 4:  # one image alone
            return super().forward(x)
        self.geometry.check_input(x)
        parts = x.transpose(0, 1).split(self.parts())
        moved = [
            self._moved(part, row * self.reach, column * self.reach)
            for part, (row, column) in zip(parts, _TAPS, strict=True)
        ]
        return self.mixed(self.matrix, torch.cat(moved))

    def _moved(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """The images whose pixel (i, j) is x's at (i + rows, j + columns), one of them 0."""
        if not rows and not columns:
            return x
        if self.geometry.padding_mode == "circular":
            # Along one axis: a second one would be copied as well.
            return x.roll(-rows, 2) if rows else x.roll(-columns, 3)
        height, width = x.shape[-2:]  # of a smaller image nothing is left
        rows, columns = max(-height, min(rows, height)), max(-width, min(columns, width))
        # Cut on one side, zeros on the other.
        return nn.functional.pad(x, (-columns, columns, -rows, rows))

    def constrained(self) -> Sequence[tuple[Constraint, nn.Parameter]]:
        """H: orthonormal."""
        return [(_ORTHONORMAL, self.matrix)]
