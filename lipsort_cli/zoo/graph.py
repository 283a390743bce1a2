"""The plain form of a network: a list of operations and its weights, constraints applied.

What is saved, exported and certified is this form; it needs no code of the training side.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from lipsort_cli.layers.base import evaluating
from lipsort_cli.zoo.network import Network
from lipsort_cli.zoo.operations import Graph, Writer


@torch.no_grad()
def network_graph(network: Network) -> tuple[Graph, dict[str, Tensor]]:
    """The operations of ``network`` and its tensors, constraints applied.

    Returns:
        The graph (JSON-ready) and float32 tensors ``layers.<i>.weight`` [out, in, ...] and
        ``layers.<i>.bias`` [out] on the CPU, <i> counting the graph's operations; inside a
        container ``layers.<i>.layers.<k>.weight`` (residual) or
        ``layers.<i>.branches.<b>.<k>.weight`` (concatenate). Dropout, which does nothing outside
        training, has no operation.
    """
    writer = Writer()
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    kind = next((p.dtype for p in network.parameters()), torch.float32)
    probe = torch.zeros(1, *network.input_shape, device=device, dtype=kind)
    with evaluating(network):
        operations, _ = writer.operations(network, "layers", probe)
    graph = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": list(network.input_shape),
        "classes": network.outputs,
        "layers": operations,
    }
    return graph, writer.tensors


def network_bytes(network: Network) -> bytes:
    """The content of ``model.safetensors``: plain weights, the graph in the header."""
    graph, tensors = network_graph(network)
    return save(tensors, metadata={"lipsort_graph": json.dumps(graph)})


def save_network(network: Network, path: str | os.PathLike[str]) -> None:
    """Write ``model.safetensors`` atomically."""
    from lipsort_cli.files import write_atomic

    write_atomic(Path(path), network_bytes(network))
