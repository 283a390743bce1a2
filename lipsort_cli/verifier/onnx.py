"""A network as ONNX (operator set 17), byte for byte the same whenever it is written.

This is how ``lipsort export`` writes and how ``lipsort verify --network`` checks: a file is the
certified network if, and only if, writing that network again gives the same bytes. Nothing of a
file is read or interpreted, so no other reader can understand it differently. Each operation says
in its module which nodes it becomes. Constants of the graph (means, deviations, slopes, factors)
are rounded to float32: the error bounds of binary32, and only those, allow for that.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Unsupported, require
from .graph import Network
from .operation import Layer, of
from .tensors import read_bytes

OPERATOR_SET = 17
IR_VERSION = 8
Node = tuple[str, dict[str, NDArray[Any] | None], dict[str, Any]]
"""An operation of ONNX that takes the running value and makes the next one; its constants, float32
or int64 (None: there is none); its attributes, whole, real or lists of whole numbers."""


def reshape(key: str, *shape: int) -> Node:
    """To ``[N, *shape]``; ``key`` names the constant. 0 stands for the size of the batch."""
    return "Reshape", {key: np.array([0, *shape], dtype=np.int64)}, {}


def writable(
    layer: Layer, holds: object, reason: str = "which lipsort cannot write as ONNX"
) -> None:
    """Raises Unsupported unless something ``holds`` that ONNX needs."""
    found = f"found operation {layer.op!r}, {reason}"
    require(holds, layer.place, found, Unsupported)


def onnx_bytes(network: Network) -> bytes:
    """The contents of an ``.onnx`` file: input ``input [N, *input_shape]``, output ``logits``.

    Raises :class:`Unsupported` for an operation that ONNX does not have.
    """
    made = [(layer.name, node) for layer in network.layers for node in of(layer).onnx(layer)]
    value, nodes, constants = "input", [], []
    for place, (name, (op, arrays, attributes)) in enumerate(made):
        known = {f"{name}.{key}": array for key, array in arrays.items() if array is not None}
        constants += [(5, _constant(*item)) for item in known.items()]
        inputs = [(1, item) for item in (value, *known)]
        value = "logits" if place == len(made) - 1 else f"value.{place}"
        # Of several outputs the first is the running value.
        outputs = [(2, value), *[(2, f"{name}.order")] * (op == "TopK")]
        made_by = ((5, _attribute(*item)) for item in attributes.items())
        node = _message(*inputs, *outputs, (3, f"{op}.{place}"), (4, op), *made_by)
        nodes.append((1, node))
    ends = (11, _value("input", network.input_shape)), (12, _value("logits", (network.classes,)))
    graph, version = _message(*nodes, (2, "lipsort"), *constants, *ends), (2, OPERATOR_SET)
    return _message((1, IR_VERSION), (2, "lipsort"), (7, graph), (8, _message(version)))


def check_onnx(certificate: dict[str, Any], network: Network, deployed: Path) -> None:
    """The file is the certified network, written as lipsort writes it: the same bytes."""
    arithmetic = certificate["claim"]["arithmetic"]
    reason = (
        f"{deployed.name} computes in float32, and this certificate claims {arithmetic} "
        "arithmetic; certify with arithmetic=binary32"
    )
    require(arithmetic == "binary32", "--network", reason, Unsupported)
    reason = (
        f"{deployed.name} is not, byte for byte, what lipsort writes of the certified network; "
        "write it with: lipsort export RUN; a network from elsewhere is imported first, and "
        "certified as what it was imported to"
    )
    require(read_bytes(deployed, "--network") == onnx_bytes(network), "--network", reason)


def _constant(name: str, array: NDArray[Any]) -> bytes:
    kind = 1 if array.dtype == np.float32 else 7
    raw = np.ascontiguousarray(array, dtype="<f4" if kind == 1 else "<i8").tobytes()
    return _message(*((1, size) for size in array.shape), (2, kind), (8, name), (9, raw))


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
