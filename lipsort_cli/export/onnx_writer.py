"""Writes a network as ONNX (operator set 17), without further packages.

One operation of the graph becomes one node; GroupSort becomes Reshape, TopK (ascending), Reshape,
Maxout Reshape, ReduceMax, and moving pixels into channels Reshape, Transpose, Reshape: exactly
what ``lipsort verify --network`` recognises.
Constants of the graph (means, deviations, slopes, factors) are rounded to float32.
"""

from __future__ import annotations

import struct

import numpy as np

from lipsort_cli.errors import LipsortError
from lipsort_cli.verifier.graph import Layer, Network
from lipsort_cli.verifier.layer import CONVOLUTIONS, GROUPED, SHUFFLES

OPERATOR_SET = 17
IR_VERSION = 8
_NAMES = {
    "relu": "Relu",
    "abs": "Abs",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "identity": "Identity",
}
_POOLS = {"average_pool": "AveragePool", "max_pool": "MaxPool", "l2_pool": "LpPool"}


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

    def integers(self, name: str, values: list[int]) -> str:
        """Add a constant vector of int64."""
        return self.constant(name, np.array(values, dtype=np.int64))

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
    elif layer.op in GROUPED:
        _groups(builder, layer, name, output)
    elif layer.op in CONVOLUTIONS:
        _convolution(builder, layer, name, output)
    elif layer.op in SHUFFLES:
        _shuffle(builder, layer, name, output)
    elif layer.op in _POOLS:
        window = [
            _integers("kernel_shape", [layer.size] * 2),
            _integers("strides", [layer.stride] * 2),
        ]
        norm = [_attribute("p", 2)] if layer.op == "l2_pool" else []
        builder.node(_POOLS[layer.op], [], window + norm, output)
    elif layer.op in _NAMES:
        builder.node(_NAMES[layer.op], [], [], output)
    else:
        raise _refused(layer, "has no form in ONNX that lipsort verify recognises")


def _refused(layer: Layer, why: str) -> LipsortError:
    return LipsortError(
        f"{layer.place}: found operation {layer.op!r}, which {why}; leave onnx out: "
        "formats=[safetensors,torch_export]"
    )


def _convolution(builder: _Builder, layer: Layer, name: str, output: str) -> None:
    if layer.circular and layer.padding:
        raise _refused(layer, "pads circularly; operator set 17 of ONNX cannot")
    assert layer.weight is not None
    inputs = [builder.constant(f"{name}.weight", layer.weight)]
    if layer.bias is not None:
        inputs.append(builder.constant(f"{name}.bias", layer.bias))
    attributes = [
        _integers("kernel_shape", list(layer.weight.shape[2:])),
        _integers("strides", [layer.stride] * 2),
        _integers("pads", [layer.padding] * 4),
        _integers("dilations", [layer.dilation] * 2),
        _attribute("group", layer.groups),
    ]
    op = "Conv" if layer.op == "convolution" else "ConvTranspose"
    builder.node(op, inputs, attributes, output)


def _shuffle(builder: _Builder, layer: Layer, name: str, output: str) -> None:
    """Reshape, Transpose, Reshape: ONNX's own SpaceToDepth has another order of channels."""
    block = layer.size
    if layer.op == "space_to_depth":
        channels, height, width = layer.shape
        parts = [0, channels, height // block, block, width // block, block]
        order = [0, 1, 3, 5, 2, 4]
    else:
        channels, height, width = layer.out_shape
        parts = [0, channels, block, block, height // block, width // block]
        order = [0, 1, 4, 2, 5, 3]
    builder.node("Reshape", [builder.integers(f"{name}.parts", parts)])
    builder.node("Transpose", [], [_integers("perm", order)])
    builder.node("Reshape", [builder.integers(f"{name}.shape", [0, *layer.out_shape])], [], output)


def _groups(builder: _Builder, layer: Layer, name: str, output: str) -> None:
    """Groups of features ``[N, -1, k]``; of channels at each pixel ``[N, C / k, k, H, W]``."""
    pixels = list(layer.shape[1:])
    groups = layer.shape[0] // layer.size if pixels else -1
    parts = [0, groups, layer.size, *pixels]
    builder.node("Reshape", [builder.integers(f"{name}.groups", parts)])
    if layer.op == "maxout":
        builder.node("ReduceMax", [], [_integers("axes", [2]), _attribute("keepdims", 0)], output)
        return
    size = builder.integers(f"{name}.size", [layer.size])
    axis = 2 if pixels else -1
    order = [_attribute("axis", axis), _attribute("largest", 0), _attribute("sorted", 1)]
    builder.node("TopK", [size], order, extra=[f"{name}.order"])
    builder.node("Reshape", [builder.integers(f"{name}.flat", [0, *layer.out_shape])], [], output)


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
