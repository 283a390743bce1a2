"""Recognising a network of lipsort in an ONNX file, operation by operation.

The nodes must form one chain from input to output. GroupSort is Reshape, TopK (smallest first,
sorted), Reshape; Maxout is Reshape, ReduceMax; moving pixels into channels and back is Reshape,
Transpose, Reshape. Whatever else is found is UNSUPPORTED.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.graph import Network, build_network
from lipsort_cli.verifier.layer import GROUPED
from lipsort_cli.verifier.onnx_file import WHERE, Node, OnnxGraph, parse_graph

_SIMPLE = {
    "Relu": "relu",
    "Abs": "abs",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Identity": "identity",
}
_POOLS = {"AveragePool": "average_pool", "MaxPool": "max_pool", "LpPool": "l2_pool"}


def parse_onnx(data: bytes) -> Network:
    """The network in an ONNX file. Raises Invalid or Unsupported."""
    graph = parse_graph(data)
    reader = _Reader(graph)
    layers: list[dict[str, Any]] = []
    tensors: dict[str, np.ndarray] = {}
    while not reader.done():
        if reader.peek() == "Sub" and any(item["op"] == "flatten" for item in layers):
            raise Unsupported(WHERE, "a normalisation after Flatten")
        layers.append(_layer(reader, len(layers), tensors))
    description = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": list(graph.input_shape),
        "classes": graph.outputs,
        "layers": layers,
    }
    network = build_network(description, tensors, WHERE)
    for index, (shape, out_shape) in reader.shapes.items():
        layer = network.layers[index]
        if layer.shape != shape or layer.out_shape != (out_shape or layer.out_shape):
            raise Unsupported(WHERE, f"a reshape of {layer.shape} as if it were {shape}")
    for layer in network.layers:
        if layer.op in GROUPED and layer.index not in reader.shapes and len(layer.shape) != 1:
            raise Unsupported(WHERE, "groups that do not keep to the channels of a pixel")
    return network


class _Reader:
    """Follows the one value from the input on; every node must use and make exactly it."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.value = graph.input
        self.position = 0
        self.shapes: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        """Shapes that reshapes name: what goes into a layer, and what comes out where named."""

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
    if op in ("Conv", "ConvTranspose"):
        return _convolution(reader, index, tensors)
    if op in _POOLS:
        return _pool(reader)
    if op == "Reshape":
        parts = reader.constant(reader.next(op), 1).tolist()
        if len(parts) == 6:
            return _shuffle(reader, index, parts)
        return _channel_groups(reader, index, parts) if len(parts) == 5 else _grouped(reader, parts)
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


def _convolution(reader: _Reader, index: int, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    op = reader.peek()
    node = reader.next(op)
    weight = reader.constant(node, 1)
    if weight.ndim != 4:
        raise Unsupported(WHERE, f"a {op} of {weight.ndim - 2} dimensions")
    read = {"strides", "pads", "dilations", "group"}
    _attributes(node, {"kernel_shape": list(weight.shape[2:]), "auto_pad": "NOTSET"}, read)
    name = f"layers.{index}"
    tensors[f"{name}.weight"] = weight
    entry = {
        "op": "convolution" if op == "Conv" else "transposed_convolution",
        "weight": f"{name}.weight",
        "bias": None,
        "stride": _same(node, "strides", 2, 1),
        "padding": _same(node, "pads", 4, 0),
        "dilation": _same(node, "dilations", 2, 1),
        "groups": node.attributes.get("group", 1),
    }
    if op == "Conv":
        entry["padding_mode"] = "zeros"
    if len(node.inputs) > 2 and node.inputs[2]:
        tensors[f"{name}.bias"] = reader.constant(node, 2)
        entry["bias"] = f"{name}.bias"
    return entry


def _pool(reader: _Reader) -> dict[str, Any]:
    node = reader.next(*_POOLS)
    if len(node.outputs) > 1:
        raise Unsupported(WHERE, f"{node.op} with indices")
    # Without padding it does not matter whether padding is counted, or where it would lie.
    fixed = {"pads": [0, 0, 0, 0], "dilations": [1, 1], "ceil_mode": 0, "storage_order": 0, "p": 2}
    free = {"kernel_shape", "strides", "count_include_pad"}
    _attributes(node, fixed if node.op == "LpPool" else {**fixed, "p": None}, free)
    return {
        "op": _POOLS[node.op],
        "kernel": _same(node, "kernel_shape", 2, None),
        "stride": _same(node, "strides", 2, 1),
    }


def _same(node: Node, name: str, count: int, default: int | None) -> int:
    """The one number of an attribute that holds it ``count`` times."""
    values = node.attributes.get(name, [default] * count)
    if not isinstance(values, list) or len(values) != count or len(set(values)) != 1:
        raise Unsupported(WHERE, f"{node.op} with {name}={values!r:.40}")
    if type(values[0]) is not int:
        raise Unsupported(WHERE, f"{node.op} without {name}")
    return values[0]


def _shuffle(reader: _Reader, index: int, parts: list[int]) -> dict[str, Any]:
    """Reshape to blocks, Transpose, Reshape."""
    order = reader.next("Transpose").attributes.get("perm")
    closing = reader.constant(reader.next("Reshape"), 1).tolist()
    if order == [0, 1, 3, 5, 2, 4] and parts[3] == parts[5]:
        _, channels, height, block, width, _ = parts
        shape = (channels, height * block, width * block)
        out, op = (channels * block * block, height, width), "space_to_depth"
    elif order == [0, 1, 4, 2, 5, 3] and parts[2] == parts[3]:
        _, channels, block, _, height, width = parts
        shape = (channels * block * block, height, width)
        out, op = (channels, height * block, width * block), "depth_to_space"
    else:
        raise Unsupported(WHERE, f"a Transpose by {order!r:.40}")
    if parts[0] != 0 or min(parts[1:]) < 1 or closing != [0, *out]:
        raise Unsupported(WHERE, f"a reshape to {closing!r:.60}")
    reader.shapes[index] = (shape, out)
    return {"op": op, "block": block}


def _channel_groups(reader: _Reader, index: int, parts: list[int]) -> dict[str, Any]:
    """Reshape to ``[N, C / k, k, H, W]``, then a sort and a Reshape, or a maximum."""
    if parts[0] != 0 or min(parts[1:]) < 1:
        raise Unsupported(WHERE, f"a reshape to {parts!r:.60}")
    _, groups, size, *pixels = parts
    shape = (groups * size, *pixels)
    reader.shapes[index] = (shape, ())
    if _sorts(reader, size, 2):
        closing = reader.constant(reader.next("Reshape"), 1).tolist()
        if closing != [0, *shape]:
            raise Unsupported(WHERE, f"a reshape to {closing!r:.60}")
        return {"op": "groupsort", "group_size": size}
    return {"op": "maxout", "group_size": size}


def _grouped(reader: _Reader, shape: list[int]) -> dict[str, Any]:
    if len(shape) != 3 or shape[:2] != [0, -1] or shape[2] < 1:
        raise Unsupported(WHERE, f"a reshape to {shape!r:.60}")
    if _sorts(reader, shape[2], -1):
        closing = reader.constant(reader.next("Reshape"), 1).tolist()
        if len(closing) != 2 or closing[0] != 0 or (closing[1] < 1 and closing[1] != -1):
            raise Unsupported(WHERE, f"a reshape to {closing!r:.60}")
        return {"op": "groupsort", "group_size": shape[2]}
    return {"op": "maxout", "group_size": shape[2]}


def _sorts(reader: _Reader, size: int, axis: int) -> bool:
    """Whether the next node sorts axis 2 of all ``size`` elements; else it takes their maximum."""
    node = reader.next("TopK", "ReduceMax")
    if node.op == "TopK":
        _attributes(node, {"axis": axis, "largest": 0, "sorted": 1})
        if (
            node.attributes.get("largest") != 0
            or node.attributes.get("axis", -1) != axis
            or reader.constant(node, 1).tolist() != [size]
        ):
            raise Unsupported(WHERE, "a TopK that is no ascending sort of its groups")
        if len(node.outputs) > 1 and any(
            node.outputs[1] in other.inputs for other in reader.graph.nodes
        ):
            raise Unsupported(WHERE, "indices of a sort are used")
        return True
    _attributes(node, {"keepdims": 0}, {"axes"})
    axes = node.attributes.get("axes")
    axes = reader.constant(node, 1).tolist() if axes is None else axes
    if axes not in ([2], [axis]) or node.attributes.get("keepdims") != 0:
        raise Unsupported(WHERE, "a ReduceMax over other axes")
    return False


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
