"""A plain ``torch.nn`` network from its saved form: no constraints, nothing to train."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lipsort_cli.certificates.points import load_network
from lipsort_cli.layers import AbsoluteValue, GroupSort, Maxout, Normalize, Scale, Select, Sum
from lipsort_cli.layers.distance import OrderStatistics, rank_weights
from lipsort_cli.layers.extension import Extension
from lipsort_cli.layers.order import OrderStatistic
from lipsort_cli.layers.pooling import AveragePool, DepthToSpace, L2Pool, MaxPool, SpaceToDepth
from lipsort_cli.layers.residual import Concatenate
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.operation import Layer

_PLAIN: dict[str, Callable[[Layer], nn.Module]] = {
    "flatten": lambda one: nn.Flatten(),
    "relu": lambda one: nn.ReLU(),
    "abs": lambda one: AbsoluteValue(),
    "tanh": lambda one: nn.Tanh(),
    "sigmoid": lambda one: nn.Sigmoid(),
    "identity": lambda one: nn.Identity(),
    "groupsort": lambda one: GroupSort(one.size, _axis(one)),
    "maxout": lambda one: Maxout(one.size, _axis(one)),
    "scale": lambda one: Scale(one.numbers[0]),
    "clip": lambda one: nn.Hardtanh(one.numbers[0], one.numbers[1]),
    "leaky_relu": lambda one: nn.LeakyReLU(one.numbers[0]),
    "space_to_depth": lambda one: SpaceToDepth(one.size),
    "depth_to_space": lambda one: DepthToSpace(one.size),
    "average_pool": lambda one: AveragePool(one.size, one.stride),
    "max_pool": lambda one: MaxPool(one.size, one.stride),
    "l2_pool": lambda one: L2Pool(one.size, one.stride),
}
"""Layers without weights, by their operation."""


def _axis(layer: Layer) -> int:
    return 1 if len(layer.shape) == 3 else -1


class WeightedSum(nn.Module):
    """y = skip * x + branch * f(x)."""

    def __init__(self, skip: float, branch: float, inner: nn.Module) -> None:
        super().__init__()
        self.skip, self.branch, self.inner = skip, branch, inner

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] to the same shape."""
        return self.skip * x + self.branch * self.inner(x)


class OrderedDistance(nn.Module):
    """y_j = sum_k (1 - decay) decay^k d_(k) + b_j, d the sorted |x - w_j|; decay 0: the largest."""

    def __init__(self, weight: Tensor, bias: Tensor | None, decay: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)
        self.decay = decay

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] to [N, out]."""
        if torch.compiler.is_compiling():
            # A loop over outputs would be unrolled in an exported graph.
            distances = (x[:, None] - self.weight).abs()
            if self.decay == 0:
                found = distances.amax(2)
            else:
                shares = rank_weights(self.decay, x.shape[1], x)
                found = distances.sort(dim=2, descending=True).values @ shares
        else:
            found = OrderStatistics.apply(x, self.weight, self.decay)
        return found if self.bias is None else found + self.bias


class OrderSelection(nn.Module):
    """y_j = max { t : sum_i |w_ji| [sign(w_ji) x_i >= t] >= b_j }."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] to [N, out]."""
        if torch.compiler.is_compiling():
            # The definition as one expression: an exported graph has no loop over chunks.
            votes = torch.cat([self.weight.clamp_min(0), (-self.weight).clamp_min(0)], 1)
            literals, order = torch.cat([x, -x], 1).sort(dim=1, descending=True)
            reached = votes[:, order].cumsum(2) >= self.bias[:, None, None]
            return literals.gather(1, reached.to(torch.int32).argmax(2).mT)
        return OrderStatistic.apply(x, self.weight, self.bias)


def plain_module(network: Network, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """The layers of a checked graph as modules, in evaluation mode; on the CPU.

    Maps ``[N, *input_shape]`` to logits ``[N, classes]``. Weights are exact in any ``dtype``;
    constants of the graph are rounded to it once.
    """
    return _chain(network.layers, dtype).to(dtype).eval().requires_grad_(False)


def _chain(layers: tuple[Layer, ...], dtype: torch.dtype) -> nn.Sequential:
    return nn.Sequential(*(_module(layer, dtype) for layer in layers))


def _module(layer: Layer, dtype: torch.dtype) -> nn.Module:
    match layer.op:
        case op if op in _PLAIN:
            return _PLAIN[op](layer)
        case "normalize":
            half = len(layer.numbers) // 2
            return Normalize(layer.numbers[:half], layer.numbers[half:], dtype)
        case "residual":
            return WeightedSum(layer.numbers[0], layer.numbers[1], _chain(layer.parts[0], dtype))
        case "sum" | "concatenate" as op:
            branches = [list(_chain(part, dtype)) for part in layer.parts]
            return (Sum if op == "sum" else Concatenate)(branches)
    return _weighted(layer)


def _weighted(layer: Layer) -> nn.Module:
    """A layer with tensors."""
    assert layer.weight is not None
    weight = torch.from_numpy(np.array(layer.weight))
    bias = None if layer.bias is None else torch.from_numpy(np.array(layer.bias))
    module: nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    if layer.op == "dense":
        module = nn.Linear(layer.inputs, layer.width, bias=bias is not None)
    elif layer.op in ("convolution", "transposed_convolution"):
        kind = nn.Conv2d if layer.op == "convolution" else nn.ConvTranspose2d
        module = kind(
            layer.shape[0],
            layer.out_shape[0],
            (weight.shape[2], weight.shape[3]),
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
            bias=bias is not None,
            padding_mode="circular" if layer.circular else "zeros",
        )
    elif layer.op == "select":
        return Select(weight, layer.out_shape)
    elif layer.op == "distance":
        return OrderedDistance(weight, bias, layer.numbers[0])
    elif layer.op == "order_statistic":
        assert bias is not None
        return OrderSelection(weight, bias)
    elif layer.op == "extension":
        assert bias is not None
        extension = Extension(weight)
        extension.set_bias_(bias)
        return extension
    else:
        raise TypeError(f"found operation {layer.op!r}, which has no module")
    with torch.no_grad():
        module.weight.copy_(weight)
        if bias is not None and module.bias is not None:
            module.bias.copy_(bias)
    return module


def load_plain(path: str | os.PathLike[str]) -> nn.Sequential:
    """The network saved in ``model.safetensors`` as a plain module; raises LipsortError."""
    return plain_module(load_network(Path(path)))
