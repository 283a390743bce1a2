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
    graph = _message(
        *((1, node) for node in builder.nodes),
        (2, "lipsort"),
        *((5, constant) for constant in builder.constants),
        (11, _value("input", network.input_shape)),
        (12, _value("logits", (network.classes,))),
    )
    version = _message((2, OPERATOR_SET))
    return _message((1, IR_VERSION), (2, "lipsort"), (7, graph), (8, version))


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
        sizes = ((1, size) for size in array.shape)
        self.constants.append(_message(*sizes, (2, kind), (8, name), (9, raw)))
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
            _message(
                *((1, name) for name in [self.value, *(constants or [])]),
                *((2, name) for name in [made, *(extra or [])]),
                (3, f"{op}.{len(self.nodes)}"),
                (4, op),
                *((5, _attribute(*item)) for item in (attributes or {}).items()),
            )
        )
        self.value = made


def _attribute(name: str, value: int | float | list[int]) -> bytes:
    if isinstance(value, list):
        return _message((1, name), *((8, item) for item in value), (20, 7))
    is_float = isinstance(value, float)
    return _message((1, name), (2 if is_float else 3, value), (20, 1 if is_float else 2))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    """Float32 of this shape; the size of the batch is free."""
    sizes = [_message((2, "N")), *(_message((1, size)) for size in shape)]
    tensor = _message((1, 1), (2, _message(*((1, size) for size in sizes))))
    return _message((1, name), (2, _message((1, tensor))))


def _message(*fields: tuple[int, int | float | str | bytes]) -> bytes:
    """A message of protobuf, field by field: its number and its value."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_varint(number << 3), _varint(value)]
        elif isinstance(value, float):
            parts += [_varint(number << 3 | 5), struct.pack("<f", value)]
        else:
            raw = value.encode("utf-8") if isinstance(value, str) else value
            parts += [_varint(number << 3 | 2), _varint(len(raw)), raw]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
