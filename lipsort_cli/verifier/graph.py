"""A network as data: layer graph and weights, checked before any use.

Format ``lipsort-graph`` version 1: inputs ``[N, *input_shape]``, a chain of layers, outputs
``[N, classes]``. What the layers mean is the formula in :data:`OPERATIONS`; an operation that is
not in that table is refused, never guessed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.strictjson import canonical, parse, parse_hex, sha256
from lipsort_cli.verifier.tensors import parse_tensors, read_bytes

OPERATIONS: dict[str, tuple[str, ...]] = {
    "normalize": ("mean", "std"),  # (x - mean) / std, one value a channel or one for all
    "flatten": (),
    "dense": ("weight", "bias"),  # W x + b
    "groupsort": ("group_size",),  # contiguous groups, ascending
    "maxout": ("group_size",),  # maximum of contiguous groups
    "relu": (),
    "leaky_relu": ("slope",),  # max(x, 0) + slope * min(x, 0)
    "abs": (),
    "tanh": (),
    "sigmoid": (),
    "identity": (),
    "scale": ("factor",),  # factor * x
}
"""Operations of version 1 and the fields that each one has."""

SMOOTH = ("tanh", "sigmoid")
RANGE = 2.0**60
"""Means, factors and slopes lie within +-RANGE, standard deviations within [1/RANGE, RANGE]."""


@dataclass(frozen=True)
class Layer:
    """One operation: ``numbers`` are its scalars, ``size`` its group size, ``width`` its outputs.

    For ``normalize``, ``numbers`` is ``(mean..., std...)``, one pair a channel.
    """

    index: int
    op: str
    inputs: int
    width: int
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    numbers: tuple[float, ...] = ()
    size: int = 1


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

    def smooth(self) -> bool:
        """Whether a layer needs the accuracy of a mathematical library."""
        return any(layer.op in SMOOTH for layer in self.layers)

    def graph(self) -> dict[str, Any]:
        """The graph in its one canonical form."""
        return {
            "format": "lipsort-graph",
            "version": 1,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "layers": [_describe(layer) for layer in self.layers],
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

    def rounded(self) -> Network:
        """The same network with every constant of the graph rounded to binary32."""
        layers = tuple(
            replace(layer, numbers=tuple(float(np.float32(value)) for value in layer.numbers))
            for layer in self.layers
        )
        return replace(self, layers=layers)

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Weights and biases under their canonical names."""
        found: dict[str, NDArray[np.float32]] = {}
        for layer in self.layers:
            if layer.weight is not None:
                found[f"layers.{layer.index}.weight"] = layer.weight
            if layer.bias is not None:
                found[f"layers.{layer.index}.bias"] = layer.bias
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
    _keys(graph, {"format", "version", "input_shape", "classes", "layers"}, f"{where}.graph")
    shape, entries = graph["input_shape"], graph["layers"]
    if not isinstance(shape, list) or not shape or not all(_positive(item) for item in shape):
        raise Invalid(f"{where}.graph.input_shape", "expected a list of positive integers")
    if not isinstance(entries, list) or not 1 <= len(entries) <= 10_000:
        raise Invalid(f"{where}.graph.layers", "expected a list of layers")
    unused = set(tensors)
    layers: list[Layer] = []
    state = (math.prod(shape), int(shape[0]), len(shape) == 1)
    for index, entry in enumerate(entries):
        place = f"{where}.graph.layers[{index}]"
        layer = _layer(index, entry, state, tensors, place)
        unused -= {f"layers.{index}.weight"} if layer.weight is not None else set()
        unused -= {f"layers.{index}.bias"} if layer.bias is not None else set()
        layers.append(layer)
        state = (layer.width, state[1], state[2] or layer.op == "flatten")
    if unused:
        raise Invalid(where, f"tensor {sorted(unused)[0]!r:.60} belongs to no layer")
    if not _positive(graph["classes"]) or graph["classes"] != state[0] or not state[2]:
        raise Invalid(f"{where}.graph.classes", f"the last layer has {state[0]} outputs")
    return Network(tuple(shape), state[0], tuple(layers))


def _layer(
    index: int,
    entry: Any,
    state: tuple[int, int, bool],
    tensors: dict[str, np.ndarray],
    where: str,
) -> Layer:
    width, channels, flat = state
    if not isinstance(entry, dict) or not isinstance(entry.get("op"), str):
        raise Invalid(where, "expected an object with a field 'op'")
    op = entry["op"]
    if op not in OPERATIONS:
        raise Unsupported(f"{where}.op", f"unknown operation {op!r:.40}")
    _keys(entry, {"op", *OPERATIONS[op]}, where)
    if op == "dense":
        if not flat:
            raise Invalid(where, "a dense layer needs a flatten layer before it")
        return _dense(index, entry, width, tensors, where)
    if op in ("groupsort", "maxout"):
        size = entry["group_size"]
        if not flat:
            raise Unsupported(where, f"{op} over image channels")
        if not _positive(size) or width % size:
            raise Invalid(f"{where}.group_size", f"width {width} is no multiple of {size!r:.20}")
        return Layer(index, op, width, width // size if op == "maxout" else width, size=size)
    if op == "normalize":
        values = _normalization(entry, channels, where)
        return Layer(index, op, width, width, numbers=values)
    numbers = tuple(parse_hex(entry[key], f"{where}.{key}") for key in OPERATIONS[op])
    if any(abs(value) > RANGE for value in numbers):
        raise Unsupported(where, f"a number beyond {RANGE:g}")
    return Layer(index, op, width, width, numbers=numbers)


def _dense(
    index: int, entry: dict[str, Any], width: int, tensors: dict[str, np.ndarray], where: str
) -> Layer:
    if entry["weight"] != f"layers.{index}.weight" or entry["weight"] not in tensors:
        raise Invalid(f"{where}.weight", f"expected the tensor 'layers.{index}.weight'")
    weight = tensors[entry["weight"]]
    if weight.dtype != np.float32 or weight.ndim != 2 or weight.shape[1] != width:
        raise Invalid(f"{where}.weight", f"expected float32 [out, {width}], found {weight.shape}")
    if weight.shape[0] == 0 or width == 0 or not np.isfinite(weight).all():
        raise Invalid(f"{where}.weight", "empty, or NaN or infinity among the weights")
    bias = None
    if entry["bias"] is not None:
        if entry["bias"] != f"layers.{index}.bias" or entry["bias"] not in tensors:
            raise Invalid(f"{where}.bias", f"expected the tensor 'layers.{index}.bias'")
        bias = tensors[entry["bias"]]
        if bias.dtype != np.float32 or bias.shape != weight.shape[:1]:
            raise Invalid(f"{where}.bias", f"expected float32 [{weight.shape[0]}]")
        if not np.isfinite(bias).all():
            raise Invalid(f"{where}.bias", "NaN or infinity among the biases")
    return Layer(index, "dense", width, weight.shape[0], weight, bias)


def _normalization(entry: dict[str, Any], channels: int, where: str) -> tuple[float, ...]:
    columns = []
    for key in ("mean", "std"):
        values = entry[key]
        if not isinstance(values, list) or len(values) not in (1, channels):
            raise Invalid(f"{where}.{key}", f"expected a list of 1 or {channels} numbers")
        columns.append([parse_hex(value, f"{where}.{key}") for value in values])
    mean, std = columns
    if len(mean) != len(std):
        raise Invalid(where, "mean and std differ in length")
    if any(abs(value) > RANGE for value in mean) or any(
        not 1 / RANGE <= value <= RANGE for value in std
    ):
        raise Unsupported(where, f"mean beyond {RANGE:g}, or std outside [1/{RANGE:g}, {RANGE:g}]")
    return (*mean, *std)


def normalization(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every input component, each ``[n]``."""
    half = len(layer.numbers) // 2
    repeat = layer.inputs // half
    values = np.array(layer.numbers, dtype=np.float64)
    return np.repeat(values[:half], repeat), np.repeat(values[half:], repeat)


def _describe(layer: Layer) -> dict[str, Any]:
    entry: dict[str, Any] = {"op": layer.op}
    if layer.op == "dense":
        entry["weight"] = f"layers.{layer.index}.weight"
        entry["bias"] = None if layer.bias is None else f"layers.{layer.index}.bias"
    elif layer.op == "normalize":
        half = len(layer.numbers) // 2
        entry["mean"] = [value.hex() for value in layer.numbers[:half]]
        entry["std"] = [value.hex() for value in layer.numbers[half:]]
    elif layer.op in ("groupsort", "maxout"):
        entry["group_size"] = layer.size
    else:
        entry.update(zip(OPERATIONS[layer.op], (v.hex() for v in layer.numbers), strict=True))
    return entry


def _keys(entry: dict[str, Any], allowed: set[str], where: str) -> None:
    for key in sorted(allowed - set(entry)):
        raise Invalid(where, f"field {key!r} is missing")
    for key in sorted(set(entry) - allowed):
        raise Invalid(where, f"unknown field {key!r:.60}")


def _positive(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31


def graph_text(network: Network) -> str:
    """The canonical graph as the text that ``model.safetensors`` carries in its header."""
    return json.dumps(network.graph(), sort_keys=True)
