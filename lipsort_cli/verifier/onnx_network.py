"""Recognising a network of lipsort in an ONNX file, operation by operation.

The nodes must form one chain from input to output. GroupSort is Reshape, TopK (smallest first,
sorted), Reshape; Maxout is Reshape, ReduceMax. Whatever else is found is UNSUPPORTED.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.graph import Network, build_network
from lipsort_cli.verifier.onnx_file import WHERE, Node, OnnxGraph, parse_graph

_SIMPLE = {
    "Relu": "relu",
    "Abs": "abs",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Identity": "identity",
}


def parse_onnx(data: bytes) -> Network:
    """The network in an ONNX file. Raises Invalid or Unsupported."""
    graph = parse_graph(data)
    reader = _Reader(graph)
    layers: list[dict[str, Any]] = []
    tensors: dict[str, np.ndarray] = {}
    width = 0
    while not reader.done():
        if reader.peek() == "Sub" and any(item["op"] == "flatten" for item in layers):
            raise Unsupported(WHERE, "a normalisation after Flatten")
        entry = _layer(reader, len(layers), tensors)
        layers.append(entry)
        if entry["op"] == "dense":
            width = len(tensors[entry["weight"]])
        elif entry["op"] == "maxout":
            width //= entry["group_size"]
    description = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": list(graph.input_shape),
        "classes": width,
        "layers": layers,
    }
    return build_network(description, tensors, WHERE)


class _Reader:
    """Follows the one value from the input on; every node must use and make exactly it."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.value = graph.input
        self.position = 0

    def done(self) -> bool:
        """Whether all nodes were read; the last one must make the output."""
        if self.position < len(self.graph.nodes):
            return False
        if self.value != self.graph.output:
            raise Invalid(WHERE, "the last node does not make the output")
        return True

    def next(self, *expected: str) -> Node:
        """The next node, of one of the operations expected."""
        if self.position >= len(self.graph.nodes):
            raise Unsupported(WHERE, f"the network ends where {' or '.join(expected)} was expected")
        node = self.graph.nodes[self.position]
        if expected and node.op not in expected:
            raise Unsupported(WHERE, f"operation {node.op!r:.40} at node {self.position}")
        if node.inputs[:1] != (self.value,) or not node.outputs:
            raise Unsupported(WHERE, f"node {self.position} does not continue the chain")
        if self.value in node.inputs[1:]:
            raise Unsupported(WHERE, f"node {self.position} uses a value twice")
        self.value = node.outputs[0]
        self.position += 1
        return node

    def peek(self) -> str:
        """Operation of the next node, or nothing."""
        nodes = self.graph.nodes
        return nodes[self.position].op if self.position < len(nodes) else ""

    def constant(self, node: Node, index: int) -> np.ndarray:
        """The constant at an input of a node."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        if name not in self.graph.constants:
            raise Unsupported(WHERE, f"input {index} of {node.op} is not a constant")
        return self.graph.constants[name]


def _layer(reader: _Reader, index: int, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    op = reader.peek()
    if op in _SIMPLE:
        _attributes(reader.next(op), {})
        return {"op": _SIMPLE[op]}
    if op == "Flatten":
        _attributes(reader.next(op), {"axis": 1})
        return {"op": "flatten"}
    if op == "LeakyRelu":
        node = reader.next(op)
        return {"op": "leaky_relu", "slope": float(node.attributes.get("alpha", 0.01)).hex()}
    if op == "Gemm":
        return _dense(reader, index, tensors)
    if op == "Mul":
        values = reader.constant(reader.next(op), 1)
        if values.shape not in ((), (1,)):
            raise Unsupported(WHERE, "a product with more than one factor")
        return {"op": "scale", "factor": float(values.reshape(())).hex()}
    if op == "Sub":
        mean = reader.constant(reader.next(op), 1)
        std = reader.constant(reader.next("Div"), 1)
        shape = reader.graph.input_shape
        return {"op": "normalize", "mean": _channels(mean, shape), "std": _channels(std, shape)}
    if op == "Reshape":
        return _grouped(reader)
    raise Unsupported(WHERE, f"operation {op!r:.40}")


def _dense(reader: _Reader, index: int, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    node = reader.next("Gemm")
    _attributes(node, {"alpha": 1.0, "beta": 1.0, "transA": 0}, {"transB"})
    weight = reader.constant(node, 1)
    weight = weight if node.attributes.get("transB", 0) == 1 else weight.T
    name = f"layers.{index}"
    tensors[f"{name}.weight"] = np.ascontiguousarray(weight)
    if len(node.inputs) < 3 or not node.inputs[2]:
        return {"op": "dense", "weight": f"{name}.weight", "bias": None}
    tensors[f"{name}.bias"] = reader.constant(node, 2)
    return {"op": "dense", "weight": f"{name}.weight", "bias": f"{name}.bias"}


def _grouped(reader: _Reader) -> dict[str, Any]:
    shape = reader.constant(reader.next("Reshape"), 1).tolist()
    if len(shape) != 3 or shape[:2] != [0, -1] or shape[2] < 1:
        raise Unsupported(WHERE, f"a reshape to {shape!r:.60}")
    node = reader.next("TopK", "ReduceMax")
    if node.op == "TopK":
        _attributes(node, {"axis": -1, "largest": 0, "sorted": 1})
        if node.attributes.get("largest") != 0 or reader.constant(node, 1).tolist() != [shape[2]]:
            raise Unsupported(WHERE, "a TopK that is no ascending sort of its groups")
        if len(node.outputs) > 1 and any(
            node.outputs[1] in other.inputs for other in reader.graph.nodes
        ):
            raise Unsupported(WHERE, "indices of a sort are used")
        closing = reader.constant(reader.next("Reshape"), 1).tolist()
        if len(closing) != 2 or closing[0] != 0 or (closing[1] < 1 and closing[1] != -1):
            raise Unsupported(WHERE, f"a reshape to {closing!r:.60}")
        return {"op": "groupsort", "group_size": shape[2]}
    _attributes(node, {"keepdims": 0}, {"axes"})
    axes = node.attributes.get("axes")
    axes = reader.constant(node, 1).tolist() if axes is None else axes
    if axes not in ([2], [-1]) or node.attributes.get("keepdims") != 0:
        raise Unsupported(WHERE, "a ReduceMax over other axes")
    return {"op": "maxout", "group_size": shape[2]}


def _attributes(node: Node, fixed: dict[str, Any], free: Collection[str] = ()) -> None:
    """Every attribute has its expected value, or is among those read elsewhere."""
    for name, value in node.attributes.items():
        if name not in free and fixed.get(name) != value:
            raise Unsupported(WHERE, f"{node.op} with {name}={value!r:.40}")


def _channels(values: np.ndarray, shape: tuple[int, ...]) -> list[str]:
    """One value, or one a channel in a shape that broadcasts over the channel axis only."""
    if values.shape not in ((), (1,), (shape[0],) + (1,) * (len(shape) - 1)):
        raise Unsupported(WHERE, "a normalisation that is not one value a channel")
    return [float(value).hex() for value in values.reshape(-1)]
