"""A plain ``torch.nn`` network from its saved form: no constraints, nothing to train."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lipsort_cli.certificates import Network, load_network
from lipsort_cli.layers import AbsoluteValue, GroupSort, Maxout, Normalize, Scale


def plain_module(network: Network) -> nn.Sequential:
    """The layers of a checked graph as modules, in evaluation mode; float32 on the CPU.

    Maps ``[N, *input_shape]`` to logits ``[N, classes]``.
    """
    layers: list[nn.Module] = []
    for layer in network.layers:
        match layer.op:
            case "flatten":
                layers.append(nn.Flatten())
            case "dense":
                assert layer.weight is not None
                dense = nn.Linear(layer.inputs, layer.width, bias=layer.bias is not None)
                with torch.no_grad():
                    dense.weight.copy_(torch.from_numpy(np.array(layer.weight)))
                    if layer.bias is not None:
                        dense.bias.copy_(torch.from_numpy(np.array(layer.bias)))
                layers.append(dense)
            case "normalize":
                half = len(layer.numbers) // 2
                layers.append(Normalize(layer.numbers[:half], layer.numbers[half:]))
            case "groupsort":
                layers.append(GroupSort(layer.size))
            case "maxout":
                layers.append(Maxout(layer.size))
            case "scale":
                layers.append(Scale(layer.numbers[0]))
            case "leaky_relu":
                layers.append(nn.LeakyReLU(layer.numbers[0]))
            case "relu":
                layers.append(nn.ReLU())
            case "abs":
                layers.append(AbsoluteValue())
            case "tanh":
                layers.append(nn.Tanh())
            case "sigmoid":
                layers.append(nn.Sigmoid())
            case "identity":
                layers.append(nn.Identity())
            case other:
                raise TypeError(f"found operation {other!r}, which has no module")
    return nn.Sequential(*layers).eval().requires_grad_(False)


def load_plain(path: str | os.PathLike[str]) -> nn.Sequential:
    """The network saved in ``model.safetensors`` as a plain module; raises LipsortError."""
    return plain_module(load_network(Path(path)))
