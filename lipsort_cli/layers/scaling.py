"""Layers without weights that change the units of what passes through."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import numbers, real, shown
from lipsort_cli.console import plural
from lipsort_cli.errors import ArgumentError
from lipsort_cli.layers.base import misfit


class Scale(nn.Module):
    """y = factor * x: makes a 1-Lipschitz network ``factor``-Lipschitz."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = real("factor", factor, "a finite number", math.isfinite)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor

    def lipschitz(self, norm: str) -> float:
        return abs(self.factor)

    def extra_repr(self) -> str:
        return f"factor={self.factor}"


class Normalize(nn.Module):
    """y = (x - mean) / std per channel of [N, C, ...], or by one for all; constant max(1 / std).

    Part of the network, so that certificates stay in units of the raw input.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        for key, given, least in (("mean", mean, -math.inf), ("std", std, 0.0)):
            made = torch.tensor(numbers(key, given), dtype=dtype)
            if not bool((torch.isfinite(made) & (made > least)).all()):
                above = "" if least else " above 0"
                raise ArgumentError(f"{key}: found {shown(given)}; allowed: finite numbers{above}")
            self.register_buffer(key, made)
        if len(self.mean) != len(self.std):
            raise ArgumentError(
                f"std: found {plural(len(self.std), 'number')}; allowed: as many as of mean, "
                f"{len(self.mean)}"
            )

    def forward(self, x: Tensor) -> Tensor:
        if len(self.mean) > 1 and x.shape[1:2] != self.mean.shape:
            raise misfit(x, f"[N, {len(self.mean)}, ...]")
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return (x - self.mean.view(shape)) / self.std.view(shape)

    def lipschitz(self, norm: str) -> float:
        return float((1 / self.std.double()).max())
