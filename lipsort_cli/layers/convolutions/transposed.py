"""Transposed convolutions: adjoints of constrained ones, with the same operator norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import instance, truth
from lipsort_cli.errors import ArgumentError, UsageError
from lipsort_cli.layers.base import ConstrainedLayer
from lipsort_cli.layers.convolutions.base import Convolution
from lipsort_cli.layers.convolutions.geometry import check_channels


class TransposedConvolution(ConstrainedLayer):
    """y = A^T x + b, A a constrained convolution with zero padding (torch's ConvTranspose2d).

    Args:
        convolution: A, from the channels that come out here to those that go in; without a bias.
        bias: whether b [channels] is there; it starts at 0.

    Shapes: [N, A's outputs, H, W] to [N, A's inputs, H', W'],
    H' = s (H - 1) - 2 p + d (k - 1) + 1.

    Example:
        >>> up = TransposedConvolution(ReshapedConvolution(3, 12, 2, stride=2, bias=False))
        >>> up(torch.zeros(1, 12, 4, 4)).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(self, convolution: Convolution, bias: bool = True) -> None:
        super().__init__()
        instance("convolution", convolution, Convolution, "a convolution of lipsort's")
        truth("bias", bias)
        self.geometry = convolution.geometry
        if self.geometry.padding_mode != "zeros":
            raise UsageError(
                f"padding_mode: found {self.geometry.padding_mode!r}; a transposed convolution "
                "is the adjoint of one with zeros"
            )
        if convolution.bias is not None:
            raise ArgumentError(
                "convolution: found one with a bias, which its adjoint does not have; allowed: "
                "bias=False"
            )
        self.convolution = convolution
        self.bias = nn.Parameter(torch.zeros(self.geometry.in_channels)) if bias else None

    @property
    def weight(self) -> Tensor:
        """The kernel [in, out / groups, k, k], as torch's ConvTranspose2d has it."""
        return self.convolution.weight

    @property
    def out_features(self) -> int:
        return self.geometry.in_channels

    def forward(self, x: Tensor) -> Tensor:
        shape = self.geometry
        check_channels(x, shape.out_channels)
        taps = (shape.stride, shape.padding, 0, shape.groups, shape.dilation)
        return nn.functional.conv_transpose2d(x, self.weight, self.bias, *taps)

    def sizes(self) -> str:
        """The convolution inside, a layer itself, shows them."""
        return f"bias={self.bias is not None}"

    def lipschitz(self, norm: str) -> float:
        """That of A; in L-infinity, A's in L1, and the other way round."""
        return self.convolution.lipschitz({"linf": "l1", "l1": "linf"}.get(norm, norm))
