"""A network as ONNX (operator set 17), byte for byte the same whenever it is written.

A file is the certified network if, and only if, writing that network again gives the same bytes:
no file is read, so no other reader can understand it differently. Constants of the graph (means,
deviations, slopes, factors) are rounded to float32, which the error bounds of binary32 allow for.
"""

import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Unsupported, require
from .graph import Network
from .operation import Layer
from .tensors import read_bytes

OPERATOR_SET, IR_VERSION = 17, 8
Message = list[tuple[int, Any]]  # of protobuf: fields' numbers and values, also messages
Node = tuple[str, dict[str, Any], dict[str, Any]]
"""An operation of ONNX that takes the running value and makes the next one; its constants, float32
or int64 (None: there is none); its attributes, whole, real or lists of whole numbers."""


def nodes_of(layer: Layer) -> list[Node]:
    """What a layer becomes. Raises Unsupported where ONNX has no such operation."""
    weights = {"weight": layer.weight, "bias": layer.bias}
    window = {"kernel_shape": [layer.size] * 2, "strides": [layer.stride] * 2}
    name = "".join(part.capitalize() for part in layer.op.split("_"))
    match layer.op:
        case "abs" | "identity" | "relu" | "sigmoid" | "tanh":
            return [(name, {}, {})]
        case "leaky_relu":
            return [(name, {}, {"alpha": layer.numbers[0]})]
        case "flatten":
            return [(name, {}, {"axis": 1})]
        case "scale":
            return [("Mul", {"factor": _real(layer.numbers)}, {})]
        case "dense":
            return [("Gemm", weights, {"transB": 1})]
        case "average_pool" | "max_pool":
            return [(name, {}, window)]
        case "l2_pool":
            return [("LpPool", {}, {**window, "p": 2})]
        case "convolution" | "transposed_convolution":
            reason = f"found operation {layer.op!r}, which pads circularly; ONNX 17 cannot"
            require(not (layer.circular and layer.padding), layer.place, reason, Unsupported)
            kernel = {
                "kernel_shape": list(layer.matrix.shape[2:]),
                "strides": [layer.stride] * 2,
                "pads": [layer.padding] * 4,
                "dilations": [layer.dilation] * 2,
                "group": layer.groups,
            }
            return [("Conv" if layer.op == "convolution" else "ConvTranspose", weights, kernel)]
        case "normalize":
            half, inner = len(layer.numbers) // 2, (1,) * (len(layer.shape) - 1)
            known = inner or half in (1, layer.inputs)
            reason = f"found operation {layer.op!r}, with channels in a flat state; ONNX has none"
            require(known, layer.place, reason, Unsupported)
            pairs = _real(layer.numbers).reshape(2, half, *(inner if half > 1 else ()))
            return [("Sub", {"mean": pairs[0]}, {}), ("Div", {"std": pairs[1]}, {})]
        case "clip":
            # Clip's ends would be scalars, and an open end no input at all.
            ends = zip(("Max", "Min"), ("low", "high"), layer.numbers, strict=True)
            found: list[Node] = [
                (op, {key: _real([end])}, {}) for op, key, end in ends if np.isfinite(end)
            ]
            return found or [("Identity", {}, {})]
    return _moved(layer)


def _moved(layer: Layer) -> list[Node]:
    """Of those that change the shape on their way."""
    shape, size, flat = layer.shape, layer.size, len(layer.shape) == 1
    match layer.op:
        case "groupsort" | "maxout":
            groups = _reshape("groups", -1 if flat else shape[0] // size, size, *shape[1:])
            if layer.op == "maxout":
                return [groups, ("ReduceMax", {}, {"axes": [2], "keepdims": 0})]
            order = {"axis": -1 if flat else 2, "largest": 0, "sorted": 1}
            sort: Node = ("TopK", {"size": _whole([size])}, order)
            return [groups, sort, _reshape("flat", *layer.out_shape)]
        case "select":
            zero: Node = ("Pad", {"pads": _whole([0, 0, 0, 1])}, {})
            places = np.where(layer.matrix < 0, layer.inputs, layer.matrix)
            gather: Node = ("Gather", {"places": places.astype(np.int64)}, {"axis": 1})
            flattened, shaped = _reshape("flat", layer.inputs), _reshape("shape", *layer.out_shape)
            return [flattened, zero, gather, shaped]
        case "space_to_depth" | "depth_to_space":
            # ONNX's own SpaceToDepth has another order of channels.
            (channels, height, width), axes = layer.out_shape, [0, 1, 4, 2, 5, 3]
            parts = [channels, size, size, *shape[1:]]
            if layer.op == "space_to_depth":
                parts, axes = [shape[0], height, size, width, size], [0, 1, 3, 5, 2, 4]
            turned: Node = ("Transpose", {}, {"perm": axes})
            return [_reshape("parts", *parts), turned, _reshape("shape", *layer.out_shape)]
    reason = f"found operation {layer.op!r}, which lipsort cannot write as ONNX"
    raise Unsupported(layer.place, reason)


_whole, _real = partial(np.asarray, dtype=np.int64), partial(np.asarray, dtype=np.float32)


def _reshape(key: str, *shape: int) -> Node:
    """To ``[N, *shape]``; ``key`` names the constant. 0 stands for the size of the batch."""
    return "Reshape", {key: _whole([0, *shape])}, {}


def onnx_bytes(network: Network) -> bytes:
    """The contents of an ``.onnx`` file: input ``input [N, *input_shape]``, output ``logits``.

    Raises :class:`Unsupported` for an operation that ONNX does not have.
    """
    made = [(layer.name, node) for layer in network.layers for node in nodes_of(layer)]
    value, nodes, constants = "input", [], []
    for place, (name, (op, arrays, attributes)) in enumerate(made):
        known = {f"{name}.{key}": array for key, array in arrays.items() if array is not None}
        constants += [(5, _constant(*item)) for item in known.items()]
        inputs = [(1, item) for item in (value, *known)]
        value = "logits" if place == len(made) - 1 else f"value.{place}"
        # Of several outputs the first is the running value.
        outputs = [(2, value), *[(2, f"{name}.order")] * (op == "TopK")]
        made_by = ((5, _attribute(*item)) for item in attributes.items())
        nodes.append((1, [*inputs, *outputs, (3, f"{op}.{place}"), (4, op), *made_by]))
    graph = [*nodes, (2, "lipsort"), *constants]
    for end, key, shape in (11, "input", network.input_shape), (12, "logits", (network.classes,)):
        # Float32 of this shape; the size of the batch is free.
        sizes: Message = [(1, [(2, "N")]), *((1, [(1, size)]) for size in shape)]
        graph.append((end, [(1, key), (2, [(1, [(1, 1), (2, sizes)])])]))
    return _encoded([(1, IR_VERSION), (2, "lipsort"), (7, graph), (8, [(2, OPERATOR_SET)])])


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


def _constant(name: str, array: NDArray[Any]) -> Message:
    kind = 1 if array.dtype == np.float32 else 7
    raw = np.ascontiguousarray(array, dtype="<f4" if kind == 1 else "<i8").tobytes()
    return [*((1, size) for size in array.shape), (2, kind), (8, name), (9, raw)]


def _attribute(name: str, value: int | float | list[int]) -> Message:
    if isinstance(value, list):
        return [(1, name), *((8, item) for item in value), (20, 7)]
    real = isinstance(value, float)
    return [(1, name), (2 if real else 3, value), (20, 1 if real else 2)]


def _encoded(message: Message) -> bytes:
    """A message of protobuf, field by field: its number and its value."""
    parts = []
    for number, value in message:
        if isinstance(value, int):
            parts += [_varint(number << 3), _varint(value)]
        elif isinstance(value, float):
            parts += [_varint(number << 3 | 5), struct.pack("<f", value)]
        else:
            value = _encoded(value) if isinstance(value, list) else value
            raw = value.encode("utf-8") if isinstance(value, str) else value
            parts += [_varint(number << 3 | 2), _varint(len(raw)), raw]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    return bytes([value & 127 | 128]) + _varint(value >> 7) if value > 127 else bytes([value])
