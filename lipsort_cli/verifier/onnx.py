"""A network as ONNX (operator set 17), byte for byte the same whenever it is written.

This is how ``lipsort export`` writes and how ``lipsort verify --network`` checks: a file is the
certified network if, and only if, writing that network again gives the same bytes. Nothing of a
file is read or interpreted, so no other reader can understand it differently. Each operation says
in its module which nodes it becomes. Constants of the graph (means, deviations, slopes, factors)
are rounded to float32: the error bounds of binary32, and only those, allow for that.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from .errors import Invalid, Unsupported
from .graph import Network
from .layer import Layer
from .operation import of
from .tensors import read_bytes

OPERATOR_SET = 17
IR_VERSION = 8


def onnx_bytes(network: Network) -> bytes:
    """The contents of an ``.onnx`` file: input ``input [N, *input_shape]``, output ``logits``.

    Raises :class:`Unsupported` for an operation that ONNX does not have.
    """
    builder = Builder()
    for layer in network.layers:
        of(layer).onnx(layer, builder, "logits" if layer is network.layers[-1] else "")
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


def check_onnx(certificate: dict[str, Any], network: Network, deployed: Path) -> None:
    """The file is the certified network, written as lipsort writes it: the same bytes."""
    arithmetic = certificate["claim"]["arithmetic"]
    if arithmetic != "binary32":
        raise Unsupported(
            "--network",
            f"{deployed.name} computes in float32, and this certificate claims {arithmetic} "
            "arithmetic; certify with arithmetic=binary32",
        )
    if read_bytes(deployed, "--network") != onnx_bytes(network):
        raise Invalid(
            "--network",
            f"{deployed.name} is not, byte for byte, what lipsort writes of the certified network; "
            "write it with: lipsort export RUN; a network from elsewhere is imported first, and "
            "certified as what it was imported to",
        )


class Builder:
    """Collects nodes and constants; ``value`` is the name of the running value."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []
        self.value = "input"

    def constant(self, layer: Layer, key: str, array: np.ndarray) -> list[str]:
        """Add a constant of float32 or int64; the list of its name, to be used as inputs."""
        name = f"{layer.name}.{key}"
        kind = 1 if array.dtype == np.float32 else 7
        raw = np.ascontiguousarray(array, dtype="<f4" if kind == 1 else "<i8").tobytes()
        sizes = b"".join(_integer(1, size) for size in array.shape)
        self.constants.append(sizes + _integer(2, kind) + _string(8, name) + _bytes(9, raw))
        return [name]

    def tensors(self, layer: Layer) -> list[str]:
        """Add the weight, and the bias where there is one."""
        assert layer.weight is not None
        names = self.constant(layer, "weight", layer.weight)
        return names if layer.bias is None else names + self.constant(layer, "bias", layer.bias)

    def integers(self, layer: Layer, key: str, values: list[int]) -> list[str]:
        """Add a constant vector of int64."""
        return self.constant(layer, key, np.array(values, dtype=np.int64))

    def reshape(self, layer: Layer, key: str, shape: list[int], output: str = "") -> None:
        """Add a Reshape; 0 stands for the size of the batch."""
        self.node("Reshape", self.integers(layer, key, shape), output=output)

    def node(
        self,
        op: str,
        constants: list[str] | None = None,
        attributes: dict[str, Any] | None = None,
        output: str = "",
        extra: list[str] | None = None,
    ) -> None:
        """Add a node that takes the running value and makes the next one."""
        made = output or f"value.{len(self.nodes)}"
        self.nodes.append(
            b"".join(
                [
                    *(_string(1, name) for name in [self.value, *(constants or [])]),
                    *(_string(2, name) for name in [made, *(extra or [])]),
                    _string(3, f"{op}.{len(self.nodes)}"),
                    _string(4, op),
                    *(_bytes(5, _attribute(*item)) for item in (attributes or {}).items()),
                ]
            )
        )
        self.value = made


def _attribute(name: str, value: int | float | list[int]) -> bytes:
    if isinstance(value, list):
        return _string(1, name) + b"".join(_integer(8, item) for item in value) + _integer(20, 7)
    if isinstance(value, float):
        number = _varint(2 << 3 | 5) + struct.pack("<f", value)
        return _string(1, name) + number + _integer(20, 1)
    return _string(1, name) + _integer(3, value) + _integer(20, 2)


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


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    sizes = [_bytes(1, _string(2, "N")), *(_bytes(1, _integer(1, size)) for size in shape)]
    tensor = _integer(1, 1) + _bytes(2, b"".join(sizes))
    return _string(1, name) + _bytes(2, _bytes(1, tensor))
