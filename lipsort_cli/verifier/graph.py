"""A network as data: layer graph and weights, checked before any use.

Format ``lipsort-graph`` version 1: inputs ``[N, *input_shape]``, a chain of layers, outputs
``[N, classes]``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Invalid, Unsupported
from .layer import Layer
from .operation import described, of
from .parsing import LARGEST_STATE, Parser, require_keys
from .strictjson import canonical, parse, sha256
from .tensors import parse_tensors, read_bytes


@dataclass(frozen=True)
class Network:
    """A chain of layers over inputs ``[N, *input_shape]`` with ``classes`` outputs."""

    input_shape: tuple[int, ...]
    classes: int
    layers: tuple[Layer, ...]

    @property
    def inputs(self) -> int:
        """Number of input components."""
        return math.prod(self.input_shape)

    def walk(self) -> Iterator[Layer]:
        """All layers, those inside containers too, in the order of the graph."""
        for layer in self.layers:
            yield from layer.walk()

    def smooth(self) -> bool:
        """Whether a layer needs the accuracy of a mathematical library."""
        return any(of(layer).smooth for layer in self.walk())

    def graph(self) -> dict[str, Any]:
        """The graph in its one canonical form."""
        return {
            "format": "lipsort-graph",
            "version": 1,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "layers": [described(layer) for layer in self.layers],
        }

    def graph_digest(self) -> str:
        """SHA-256 of the canonical graph."""
        return sha256(canonical(self.graph()))

    def weights_digest(self) -> str:
        """SHA-256 of names, shapes and float32 little-endian contents, in graph order."""
        parts = []
        for name, tensor in self.tensors().items():
            shape = ",".join(map(str, tensor.shape))
            parts.append(f"{name}:{shape};".encode("ascii"))
            parts.append(np.ascontiguousarray(tensor, dtype="<f4").tobytes())
        return sha256(b"".join(parts))

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Weights and biases under their canonical names."""
        found: dict[str, NDArray[np.float32]] = {}
        for layer in self.walk():
            if layer.weight is not None:
                found[f"{layer.name}.weight"] = layer.weight
            if layer.bias is not None:
                found[f"{layer.name}.bias"] = layer.bias
        return found


def read_network(path: Path, where: str = "network") -> Network:
    """Load and check ``model.safetensors``."""
    return parse_network(read_bytes(path, where), where)


def parse_network(data: bytes, where: str = "network") -> Network:
    """The network in the bytes of a safetensors file with a ``lipsort_graph`` in its metadata."""
    tensors, metadata = parse_tensors(data, where)
    if "lipsort_graph" not in metadata:
        raise Invalid(where, "the file holds no lipsort_graph; it is not a network of lipsort")
    return build_network(parse(metadata["lipsort_graph"], f"{where}.graph"), tensors, where)


def build_network(graph: Any, tensors: dict[str, np.ndarray], where: str = "network") -> Network:
    """Check a graph against its tensors. Raises :class:`Invalid` or :class:`Unsupported`."""
    if not isinstance(graph, dict):
        raise Invalid(f"{where}.graph", "not a JSON object")
    if graph.get("format") != "lipsort-graph" or graph.get("version") != 1:
        found = f"{graph.get('format')!r:.40} version {graph.get('version')!r:.20}"
        raise Unsupported(f"{where}.graph", f"format {found}; known: 'lipsort-graph' version 1")
    require_keys(graph, {"format", "version", "input_shape", "classes", "layers"}, f"{where}.graph")
    shape, entries = graph["input_shape"], graph["layers"]
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= 8
        or not all(_positive(item) for item in shape)
    ):
        raise Invalid(f"{where}.graph.input_shape", "expected a list of 1 to 8 positive integers")
    if math.prod(shape) > LARGEST_STATE:
        raise Unsupported(f"{where}.graph.input_shape", f"more than {LARGEST_STATE} components")
    parser = Parser(tensors, shape[0])
    layers = parser.chain(entries, tuple(shape), "layers", f"{where}.graph.layers")
    if not layers:
        raise Invalid(f"{where}.graph.layers", "expected a list of layers")
    if parser.unused:
        raise Invalid(where, f"tensor {sorted(parser.unused)[0]!r:.60} belongs to no layer")
    out = layers[-1].out_shape
    if not _positive(graph["classes"]) or (graph["classes"],) != out:
        raise Invalid(f"{where}.graph.classes", f"the last layer returns shape {list(out)}")
    return Network(tuple(shape), graph["classes"], layers)


def _positive(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31


def graph_text(network: Network) -> str:
    """The canonical graph as the text that ``model.safetensors`` carries in its header."""
    return json.dumps(network.graph(), sort_keys=True)
