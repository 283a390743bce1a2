"""Almost-orthogonal convolutions (Prach and Lampert, ECCV 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.errors import UsageError
from lipsort_cli.layers.constraints.aol import rescaling
from lipsort_cli.layers.constraints.base import haar
from lipsort_cli.layers.convolutions.base import Convolution
from lipsort_cli.layers.convolutions.bounds import autocorrelation, grouped
from lipsort_cli.layers.convolutions.geometry import fold, unfold


class AolConvolution(Convolution):
    """K = V D or D V, D diagonal over channels: ||K|| <= 1 by Gershgorin's circles.

    With R_d the autocorrelation of V over offsets d (see :func:`.bounds.autocorrelation`), the
    diagonal is (sum_(j, d) |R_d|_ij)^(-1/2), over output channels or, where these are more, input
    channels: D R D has weighted absolute row sums 1. A stride is folded into channels first, so
    that each of the pixels of a step has its own scale. The kernel starts orthonormal in its centre
    taps.

    Args: as :class:`Convolution`; dilation only with stride 1.

    Example:
        >>> layer = AolConvolution(4, 8, 3, padding=1)
        >>> bool(layer.lipschitz("l2") <= 1 + 1e-5)
        True
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel, **options)
        shape = self.geometry
        if shape.dilation > 1 and shape.stride > 1:
            raise UsageError(
                f"dilation: found {shape.dilation} with stride {shape.stride}; almost-orthogonal "
                "convolutions dilate only with stride 1"
            )
        self.parameter = nn.Parameter(self._start())

    @torch.no_grad()
    def _start(self) -> Tensor:
        # The s x s taps in the middle are an orthonormal matrix; the rest starts small.
        shape = self.geometry
        size = min(shape.stride, shape.kernel)
        first = (shape.kernel - size) // 2
        weight = 0.1 * torch.randn(shape.weight_shape)
        weight /= (shape.group_in * shape.kernel**2) ** 0.5
        for group in grouped(weight, shape.groups):
            block = haar(shape.group_out, shape.group_in * size**2)
            middle = slice(first, first + size)
            group[:, :, middle, middle] += block.view(shape.group_out, shape.group_in, size, size)
        return weight

    def kernel(self) -> Tensor:
        shape = self.geometry
        folded = fold(grouped(self.parameter, shape.groups), shape.stride)
        scale = rescaling(autocorrelation(folded).abs().sum((2, 3, 4)))
        by_inputs = folded.shape[1] > folded.shape[2]
        folded = folded * (
            scale[:, None, :, None, None] if by_inputs else scale[:, :, None, None, None]
        )
        return unfold(folded, shape.stride, shape.kernel).flatten(0, 1)

    @torch.no_grad()
    def lipschitz(self, norm: str) -> float:
        if norm != "l2":
            return super().lipschitz(norm)
        # The same circles, around the kernel as it is rounded, with the weights that make them 1.
        shape = self.geometry
        parameter = fold(grouped(self.parameter.double(), shape.groups), shape.stride)
        weights = rescaling(autocorrelation(parameter).abs().sum((2, 3, 4)))
        kernel = fold(grouped(self.weight.double(), shape.groups), shape.stride)
        sums = autocorrelation(kernel).abs().sum((3, 4)) @ weights.reciprocal()[..., None]
        circles = float((sums[..., 0] * weights).max().sqrt()) * (1 + 1e-9)
        return min(circles, super().lipschitz("l2"))
