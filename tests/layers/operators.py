"""The matrix of a linear layer on images, from its action on every unit vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def operator(layer: nn.Module, channels: int, height: int, width: int) -> Tensor:
    """[outputs, inputs] in binary64, of a layer that is linear up to its bias."""
    units = torch.eye(channels * height * width, dtype=torch.double)
    images = units.view(-1, channels, height, width)
    images = torch.cat([torch.zeros_like(images[:1]), images])
    values = layer.double().eval()(images).flatten(1)
    return (values[1:] - values[:1]).T
