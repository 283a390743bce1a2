"""What every constrained convolution shares: its geometry, its forward pass, its bound."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import truth
from lipsort_cli.devices import without_autocast
from lipsort_cli.layers.base import ConstrainedLayer
from lipsort_cli.layers.convolutions.bounds import convolution_bound
from lipsort_cli.layers.convolutions.geometry import Geometry

_VECTOR = 8
"""Channels from which a processor's kernels are quicker with a pixel's channels side by side."""


def channels_go_last(x: Tensor) -> bool:
    """Whether images [N, C, H, W] are convolved with the channels last in memory.

    oneDNN's kernels for float32 are quicker so (``benchmarks/convolution_step.py``), and what
    follows finds them so (:func:`lipsort_cli.layers.activations.group_sort`). Only the order of
    sums differs.
    """
    return x.device.type == "cpu" and x.dtype != torch.float64 and x.shape[1] >= _VECTOR


class Convolution(ConstrainedLayer):
    """y = K * x + b on images, with the kernel K in a constraint set.

    Args:
        in_channels: channels C of the input [N, C, H, W].
        out_channels: channels of the output [N, out, H', W'].
        kernel: taps k along both axes.
        stride: pixels between neighbouring windows.
        padding: pixels added on each side.
        padding_mode: ``zeros`` or ``circular``.
        dilation: pixels between neighbouring taps.
        groups: blocks of channels that do not mix.
        bias: whether b is there; it starts at 0.

    Raises:
        UsageError: sizes that do not fit; a padding mode whose operator norm is not known.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, bias: bool = True, **options: Any
    ) -> None:
        super().__init__()
        self.geometry = Geometry(in_channels, out_channels, kernel, **options)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if truth("bias", bias) else None

    @abstractmethod
    def kernel(self) -> Tensor:
        """The constrained kernel [out, in / groups, k, k], differentiable."""

    @property
    def weight(self) -> Tensor:
        """The constrained kernel [out, in / groups, k, k], in the parameters' own accuracy."""
        with without_autocast(next(self.parameters()).device):
            return self.kernel()

    @property
    def out_features(self) -> int:
        return self.geometry.out_channels

    def forward(self, x: Tensor) -> Tensor:
        shape = self.geometry
        shape.check_input(x)
        padding, stride = shape.padding, shape.stride
        if shape.padding_mode == "circular" and padding:
            x = nn.functional.pad(x, (padding,) * 4, mode="circular")
            padding = 0
        if shape.kernel == 1 and not padding:
            # What one tap reads: with a stride of its own oneDNN 3.14 and older write the weight's
            # gradient out of bounds where channels lie last (uxlfoundation/oneDNN, issue 6035).
            x, stride = x[..., ::stride, ::stride], 1
        weight = self.weight
        if channels_go_last(x):
            # As ``torch.channels_last`` has it, which torch.vmap does not know by this name.
            x, weight = (one.movedim(1, -1).contiguous().movedim(-1, 1) for one in (x, weight))
        return nn.functional.conv2d(
            x, weight, self.bias, stride, padding, shape.dilation, shape.groups
        )

    def mixed(self, matrix: Tensor, x: Tensor) -> Tensor:
        """``matrix`` [out, C] times the channels of each pixel of x [C, N, H, W], and the bias.

        [N, out, H, W]: one product of matrices, several times quicker than a kernel of one tap.
        """
        found = matrix @ x.flatten(1)
        if self.bias is not None:
            found.add_(self.bias[:, None])  # in the accuracy of the product
        return found.view(len(found), *x.shape[1:]).transpose(0, 1)

    def lipschitz(self, norm: str) -> float:
        """Operator norm on padded images of any size, from above; see :mod:`.bounds`."""
        return convolution_bound(self.weight, self.geometry, norm)

    def sizes(self) -> str:
        shape = self.geometry
        words = [f"{shape.in_channels}, {shape.out_channels}, kernel={shape.kernel}"]
        values = [(one.name, getattr(shape, one.name), one.default) for one in fields(shape)[3:]]
        words += [f"{name}={value}" for name, value, usual in values if value != usual]
        return ", ".join([*words, f"bias={self.bias is not None}"])
