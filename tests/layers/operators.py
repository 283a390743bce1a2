"""Layers on images as mathematics has them: the matrix of one, and what a convolution computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsort_cli.layers import Convolution


@torch.no_grad()
def operator(layer: nn.Module, channels: int, height: int, width: int) -> Tensor:
    """[outputs, inputs] in binary64, of a layer that is linear up to its bias."""
    units = torch.eye(channels * height * width, dtype=torch.double)
    images = units.view(-1, channels, height, width)
    images = torch.cat([torch.zeros_like(images[:1]), images])
    values = layer.double().eval()(images).flatten(1)
    return (values[1:] - values[:1]).T


def same_function(layer: Convolution, x: Tensor) -> None:
    """Values and first and second derivatives are those of the convolution with the kernel."""
    x.requires_grad_()
    found = []
    for y in (layer(x), Convolution.forward(layer, x)):
        pulled = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y) + y.detach() / 8
        inputs = [x, *layer.parameters()]
        first = torch.autograd.grad((y * pulled).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), inputs[-1])
        found.append([y, *first, *second])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-10)
