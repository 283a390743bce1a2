"""Weighted order statistic filters: :mod:`~lipsort_cli.layers.order` in the windows of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lipsort_cli.errors import ArgumentError
from lipsort_cli.layers.order import WeightedOrder


def covered(shape: Sequence[int], side: int, stride: int) -> bool:
    """Whether windows of ``side``, ``stride`` apart, see every pixel of images (channels, h, w)."""
    return (
        len(shape) == 3
        and min(side, stride) >= 1
        and all(n >= side >= min(stride, n - side) and (n - side) % stride == 0 for n in shape[1:])
    )


class OrderFilter(WeightedOrder):
    """Weighted order statistic filters: the same votes in every window of an image.

    Takes and gives rows, [N, channels h w] to [N, windows filters], and is the
    :class:`WeightedOrder` whose weights :meth:`plain` spells out.

    Args:
        shape: (channels, h, w) of an image, which windows cover whole.
        filters: statistics of each window.
        side: of a window.
        stride: pixels from one window to the next.
        slope, slack: as for :class:`WeightedOrder`.

    Example:
        >>> OrderFilter((1, 5, 5), 3, side=3, stride=2).eval()(torch.rand(7, 25)).shape
        torch.Size([7, 12])
    """

    def __init__(
        self,
        shape: Sequence[int],
        filters: int,
        *,
        side: int,
        stride: int,
        slope: float = 6.0,
        slack: float = 0.0,
    ) -> None:
        if not covered(shape, side, stride):
            raise ArgumentError(
                f"side: found windows of side {side}, {stride} apart, and images {tuple(shape)}; "
                "allowed: (channels, h, w), which such windows cover whole"
            )
        channels, *sides = shape
        super().__init__(channels * side**2, filters, slope, slack)
        self.shape, self.side, self.stride = tuple(shape), side, stride
        self.out_features = filters * math.prod((n - side) // stride + 1 for n in sides)

    def windows(self, x: Tensor) -> Tensor:
        """[N, channels h w] to [N windows, channels side side]."""
        images = x.unflatten(1, self.shape)
        found = images.unfold(2, self.side, self.stride).unfold(3, self.side, self.stride)
        return found.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)

    def plain(self) -> tuple[Tensor, Tensor]:
        """Weights [windows filters, channels h w], 0 outside a window, and thresholds."""
        weight, bias = self.whole()
        pixels = torch.arange(math.prod(self.shape), device=weight.device)
        places = self.windows(pixels[None])[:, None].expand(-1, len(weight), -1)
        full = weight.new_zeros(*places.shape[:2], len(pixels))
        full.scatter_(2, places, weight.expand_as(places))
        return full.flatten(0, 1), bias.repeat(len(places))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.windows(x)).view(len(x), self.out_features)

    def gates(self, centre: Tensor, doubt: Tensor) -> tuple[Tensor, Tensor]:
        shape = len(centre), self.out_features
        centre, doubt = super().gates(self.windows(centre), self.windows(doubt))
        return centre.view(shape), doubt.view(shape)

    def extra_repr(self) -> str:
        return f"{self.shape}, {len(self.parameter)}, side={self.side}, stride={self.stride}"
