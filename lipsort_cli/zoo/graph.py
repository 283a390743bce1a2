"""The plain form of a network: a list of operations and its weights, constraints applied.

What is saved, exported and certified is this form; it needs no code of the training side.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from lipsort_cli.layers import AbsoluteValue, Dense, FullSort, GroupSort, Maxout, Normalize, Scale
from lipsort_cli.layers.extension import Extension
from lipsort_cli.zoo.network import Network

Graph = dict[str, Any]


def _hex(values: Tensor) -> list[str]:
    return [float(value).hex() for value in values]


def _operation(layer: nn.Module, features: int) -> Graph:
    """The graph's entry of a layer without weights."""
    match layer:
        case nn.Flatten():
            return {"op": "flatten"}
        case Normalize():
            return {"op": "normalize", "mean": _hex(layer.mean), "std": _hex(layer.std)}
        case GroupSort():
            return {"op": "groupsort", "group_size": layer.group_size}
        case FullSort():
            return {"op": "groupsort", "group_size": features}
        case Maxout():
            return {"op": "maxout", "group_size": layer.group_size}
        case Scale():
            return {"op": "scale", "factor": layer.factor.hex()}
        case nn.ReLU():
            return {"op": "relu"}
        case nn.LeakyReLU():
            return {"op": "leaky_relu", "slope": float(layer.negative_slope).hex()}
        case AbsoluteValue():
            return {"op": "abs"}
        case nn.Tanh():
            return {"op": "tanh"}
        case nn.Sigmoid():
            return {"op": "sigmoid"}
        case nn.Identity():
            return {"op": "identity"}
    raise TypeError(f"found a layer {type(layer).__name__}, which has no plain form")


@torch.no_grad()
def network_graph(network: Network) -> tuple[Graph, dict[str, Tensor]]:
    """The operations of ``network`` and its tensors, constraints applied.

    Returns:
        The graph (JSON-ready) and float32 tensors ``layers.<i>.weight`` [out, in] and
        ``layers.<i>.bias`` [out] on the CPU, <i> counting the graph's operations. Dropout, which
        does nothing outside training, has no operation.
    """
    was_training = network.training
    network.eval()
    operations: list[Graph] = []
    tensors: dict[str, Tensor] = {}
    features = 0
    for layer in network:
        if isinstance(layer, nn.Dropout):
            continue
        if isinstance(layer, Dense):
            name = f"layers.{len(operations)}"
            tensors[f"{name}.weight"] = _plain(layer.weight)
            if layer.bias is not None:
                tensors[f"{name}.bias"] = _plain(layer.bias)
            operations.append(
                {
                    "op": "dense",
                    "weight": f"{name}.weight",
                    "bias": None if layer.bias is None else f"{name}.bias",
                }
            )
            features = layer.out_features
        elif isinstance(layer, Extension):
            name = f"layers.{len(operations)}"
            tensors[f"{name}.weight"] = _plain(layer.centres)
            tensors[f"{name}.bias"] = _plain(layer.bias)
            operations.append(
                {"op": "extension", "weight": f"{name}.weight", "bias": f"{name}.bias"}
            )
            features = 1
        else:
            operations.append(_operation(layer, features))
    network.train(was_training)
    graph = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": list(network.input_shape),
        "classes": network.outputs,
        "layers": operations,
    }
    return graph, tensors


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32).contiguous().clone()


def network_bytes(network: Network) -> bytes:
    """The content of ``model.safetensors``: plain weights, the graph in the header."""
    graph, tensors = network_graph(network)
    return save(tensors, metadata={"lipsort_graph": json.dumps(graph)})


def save_network(network: Network, path: str | os.PathLike[str]) -> None:
    """Write ``model.safetensors`` atomically."""
    from lipsort_cli.runs import write_atomic

    write_atomic(Path(path), network_bytes(network))
