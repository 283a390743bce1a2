"""An ONNX file as plain data: nodes, constants, input and output. Refuses what it does not know."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.protobuf import fields, message, messages, packed, string

WHERE = "network.onnx"
_TYPES = {1: "<f4", 7: "<i8", 11: "<f8"}


@dataclass(frozen=True)
class Node:
    """One operation: names of inputs and outputs, and its attributes."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class OnnxGraph:
    """Nodes in order, constants by name, the name of the one input and the one output."""

    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    input: str
    input_shape: tuple[int, ...]
    output: str
    outputs: int


def parse_graph(data: bytes) -> OnnxGraph:
    """Read a model of the default operator set, with float32 input and all weights inside."""
    model = fields(data, WHERE)
    for entry in messages(model.get(8, []), WHERE):
        parts = fields(entry, WHERE)
        domain = string(parts.get(1, []), WHERE)
        if domain not in ("", "ai.onnx"):
            raise Unsupported(WHERE, f"operator set {domain!r:.40}")
    if model.get(25) or model.get(20):
        raise Unsupported(WHERE, "functions or training information")
    graph = fields(message(model.get(7, []), WHERE), WHERE)
    if graph.get(15):
        raise Unsupported(WHERE, "sparse constants")
    constants = {}
    for entry in messages(graph.get(5, []), WHERE):
        name, value = _tensor(entry)
        if name in constants:
            raise Invalid(WHERE, f"constant {name!r:.60} occurs twice")
        constants[name] = value
    inputs = [entry for entry in messages(graph.get(11, []), WHERE)]
    named = [(string(fields(entry, WHERE).get(1, []), WHERE), entry) for entry in inputs]
    real = [(name, entry) for name, entry in named if name not in constants]
    outputs = messages(graph.get(12, []), WHERE)
    if len(real) != 1 or len(outputs) != 1:
        raise Unsupported(WHERE, "a network with several inputs or outputs")
    return OnnxGraph(
        tuple(_node(entry) for entry in messages(graph.get(1, []), WHERE)),
        constants,
        real[0][0],
        _shape(real[0][1]),
        string(fields(outputs[0], WHERE).get(1, []), WHERE),
        _classes(outputs[0]),
    )


def _classes(entry: bytes) -> int:
    shape = _shape(entry)
    if len(shape) != 1:
        raise Unsupported(WHERE, f"an output of shape {list(shape)} after the batch")
    return shape[0]


def _shape(entry: bytes) -> tuple[int, ...]:
    kind = fields(message(fields(entry, WHERE).get(2, []), WHERE), WHERE)
    tensor = fields(message(kind.get(1, []), WHERE), WHERE)
    if tensor.get(1) != [1]:
        raise Unsupported(WHERE, "an input or output that is not float32")
    shape = fields(message(tensor.get(2, []), WHERE), WHERE)
    sizes = []
    for dimension in messages(shape.get(1, []), WHERE)[1:]:
        value = fields(dimension, WHERE).get(1, [0])[-1]
        if not isinstance(value, int) or not 0 < value < 1 << 31:
            raise Unsupported(WHERE, "an input or output whose shape is not fixed after the batch")
        sizes.append(value)
    return tuple(sizes)


def _node(entry: bytes) -> Node:
    parts = fields(entry, WHERE)
    if string(parts.get(7, []), WHERE) not in ("", "ai.onnx"):
        raise Unsupported(WHERE, "a node of another operator set")
    attributes = {}
    for item in messages(parts.get(5, []), WHERE):
        name, value = _attribute(item)
        attributes[name] = value
    return Node(
        string(parts.get(4, []), WHERE),
        tuple(string([item], WHERE) for item in parts.get(1, [])),
        tuple(string([item], WHERE) for item in parts.get(2, [])),
        attributes,
    )


def _attribute(entry: bytes) -> tuple[str, Any]:
    parts = fields(entry, WHERE)
    name = string(parts.get(1, []), WHERE)
    kind = parts.get(20, [0])[-1]
    if kind == 1:
        raw = parts.get(2, [b"\0\0\0\0"])[-1]
        if not isinstance(raw, bytes) or len(raw) != 4:
            raise Invalid(WHERE, f"attribute {name!r:.40} is malformed")
        return name, float(struct.unpack("<f", raw)[0])
    if kind == 2:
        return name, packed(parts.get(3, [0]), WHERE)[-1]
    if kind == 7:
        return name, packed(parts.get(8, []), WHERE)
    raise Unsupported(WHERE, f"attribute {name!r:.40} of type {kind!r:.10}")


def _tensor(entry: bytes) -> tuple[str, np.ndarray]:
    parts = fields(entry, WHERE)
    name = string(parts.get(8, []), WHERE)
    shape = packed(parts.get(1, []), WHERE)
    kind = parts.get(2, [0])[-1]
    if kind not in _TYPES or parts.get(13) or parts.get(14, [0])[-1] != 0:
        raise Unsupported(WHERE, f"constant {name!r:.60}: type {kind!r:.10}, or data elsewhere")
    if any(not 0 <= size < 1 << 31 for size in shape):
        raise Invalid(WHERE, f"constant {name!r:.60} has a negative size")
    assert isinstance(kind, int)
    dtype = np.dtype(_TYPES[kind])
    count = math.prod(shape)
    if parts.get(9):
        raw = message(parts[9], WHERE)
    elif kind == 7:
        raw = np.array(packed(parts.get(7, []), WHERE), dtype="<i8").tobytes()
    else:
        raw = b"".join(messages(parts.get(4 if kind == 1 else 10, []), WHERE))
    if len(raw) != count * dtype.itemsize:
        raise Invalid(WHERE, f"constant {name!r:.60} does not fill its shape")
    return name, np.frombuffer(raw, dtype=dtype).reshape(shape)
