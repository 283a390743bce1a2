"""Writes a network as ONNX (operator set 17), without further packages.

One operation of the graph becomes one node, GroupSort becomes Reshape, TopK (ascending), Reshape
and Maxout becomes Reshape, ReduceMax: exactly what ``lipsort verify --network`` recognises.
Constants of the graph (means, deviations, slopes, factors) are rounded to float32.
"""

from __future__ import annotations

import struct

import numpy as np

from lipsort_cli.verifier.graph import Layer, Network

OPERATOR_SET = 17
IR_VERSION = 8
_NAMES = {
    "relu": "Relu",
    "abs": "Abs",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "identity": "Identity",
}


def onnx_bytes(network: Network) -> bytes:
    """The contents of an ``.onnx`` file: input ``input [N, *input_shape]``, output ``logits``."""
    builder = _Builder()
    for position, layer in enumerate(network.layers):
        last = position == len(network.layers) - 1
        _layer(builder, layer, network, "logits" if last else "")
    graph = b"".join(
        [
            *(_bytes(1, node) for node in builder.nodes),
            _string(2, "lipsort"),
            *(_bytes(5, constant) for constant in builder.constants),
            _bytes(11, _value("input", network.input_shape)),
            _bytes(12, _value("logits", (network.classes,))),
        ]
    )
    return b"".join(
        [
            _integer(1, IR_VERSION),
            _string(2, "lipsort"),
            _bytes(7, graph),
            _bytes(8, _integer(2, OPERATOR_SET)),
        ]
    )


class _Builder:
    """Collects nodes and constants; ``value`` is the name of the running value."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []
        self.value = "input"

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant of float32 or int64."""
        kind = 1 if array.dtype == np.float32 else 7
        raw = np.ascontiguousarray(array, dtype="<f4" if kind == 1 else "<i8").tobytes()
        sizes = b"".join(_integer(1, size) for size in array.shape)
        self.constants.append(sizes + _integer(2, kind) + _string(8, name) + _bytes(9, raw))
        return name

    def node(
        self,
        op: str,
        constants: list[str],
        attributes: list[bytes] | None = None,
        output: str = "",
        extra: list[str] | None = None,
    ) -> None:
        """Add a node that takes the running value and makes the next one."""
        made = output or f"value.{len(self.nodes)}"
        self.nodes.append(
            b"".join(
                [
                    *(_string(1, name) for name in [self.value, *constants]),
                    *(_string(2, name) for name in [made, *(extra or [])]),
                    _string(3, f"{op}.{len(self.nodes)}"),
                    _string(4, op),
                    *(_bytes(5, attribute) for attribute in attributes or []),
                ]
            )
        )
        self.value = made


def _layer(builder: _Builder, layer: Layer, network: Network, output: str) -> None:
    name = f"layers.{layer.index}"
    if layer.op == "dense":
        assert layer.weight is not None
        inputs = [builder.constant(f"{name}.weight", layer.weight)]
        if layer.bias is not None:
            inputs.append(builder.constant(f"{name}.bias", layer.bias))
        builder.node("Gemm", inputs, [_attribute("transB", 1)], output)
    elif layer.op == "flatten":
        builder.node("Flatten", [], [_attribute("axis", 1)], output)
    elif layer.op == "normalize":
        half = len(layer.numbers) // 2
        shape = (half,) if half == 1 else (half,) + (1,) * (len(network.input_shape) - 1)
        mean = np.array(layer.numbers[:half], dtype=np.float32).reshape(shape)
        std = np.array(layer.numbers[half:], dtype=np.float32).reshape(shape)
        builder.node("Sub", [builder.constant(f"{name}.mean", mean)])
        builder.node("Div", [builder.constant(f"{name}.std", std)], [], output)
    elif layer.op == "scale":
        factor = np.array([layer.numbers[0]], dtype=np.float32)
        builder.node("Mul", [builder.constant(f"{name}.factor", factor)], [], output)
    elif layer.op == "leaky_relu":
        builder.node("LeakyRelu", [], [_real("alpha", layer.numbers[0])], output)
    elif layer.op in ("groupsort", "maxout"):
        groups = builder.constant(f"{name}.groups", np.array([0, -1, layer.size], dtype=np.int64))
        builder.node("Reshape", [groups])
        if layer.op == "maxout":
            builder.node(
                "ReduceMax", [], [_integers("axes", [2]), _attribute("keepdims", 0)], output
            )
            return
        size = builder.constant(f"{name}.size", np.array([layer.size], dtype=np.int64))
        order = [_attribute("axis", -1), _attribute("largest", 0), _attribute("sorted", 1)]
        builder.node("TopK", [size], order, extra=[f"{name}.order"])
        flat = builder.constant(f"{name}.flat", np.array([0, layer.width], dtype=np.int64))
        builder.node("Reshape", [flat], [], output)
    else:
        builder.node(_NAMES[layer.op], [], [], output)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _string(number: int, value: str) -> bytes:
    return _bytes(number, value.encode("utf-8"))


def _attribute(name: str, value: int) -> bytes:
    return _string(1, name) + _integer(3, value) + _integer(20, 2)


def _integers(name: str, values: list[int]) -> bytes:
    return _string(1, name) + b"".join(_integer(8, value) for value in values) + _integer(20, 7)


def _real(name: str, value: float) -> bytes:
    return _string(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _integer(20, 1)


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    sizes = [_bytes(1, _string(2, "N")), *(_bytes(1, _integer(1, size)) for size in shape)]
    tensor = _integer(1, 1) + _bytes(2, b"".join(sizes))
    return _string(1, name) + _bytes(2, _bytes(1, tensor))
