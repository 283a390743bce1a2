"""Layers without weights that change the units of what passes through."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """y = factor * x: makes a 1-Lipschitz network ``factor``-Lipschitz."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = float(factor)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor

    def lipschitz(self, norm: str) -> float:
        return abs(self.factor)

    def extra_repr(self) -> str:
        return f"factor={self.factor}"


class Normalize(nn.Module):
    """y = (x - mean) / std per channel of [N, C, ...]; constant max(1 / std).

    Part of the network, so that certificates stay in units of the raw input.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        if len(mean) != len(std) or not all(value > 0 for value in std):
            raise ValueError(f"found mean {list(mean)}, std {list(std)}; one each, std above 0")
        self.register_buffer("mean", torch.tensor(mean, dtype=dtype))
        self.register_buffer("std", torch.tensor(std, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return (x - self.mean.view(shape)) / self.std.view(shape)

    def lipschitz(self, norm: str) -> float:
        return float((1 / self.std.double()).max())
