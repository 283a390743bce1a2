"""From the entries of a graph to layers: every field checked, shapes carried from layer to layer.

Image states are ``[C, H, W]``; ``flatten`` makes them ``[C * H * W]``, C slowest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.layer import CONVOLUTIONS, GROUPED, OPERATIONS, POOLS, SHUFFLES, Layer
from lipsort_cli.verifier.strictjson import parse_hex

RANGE = 2.0**60
"""Means, factors and slopes lie within +-RANGE, standard deviations within [1/RANGE, RANGE]."""
LARGEST_STATE = 1 << 28
"""Components of a layer's output at most: more would not fit into memory, whatever the file."""
LARGEST_VOTES = 2.0**24
"""Whole numbers up to this, and their sums, are exact in binary32."""
DEEPEST = 8
"""Containers inside containers at most."""

Shape = tuple[int, ...]
Tensors = dict[str, np.ndarray]


class Parser:
    """Reads chains of layers; ``unused`` are the tensors that no layer has taken."""

    def __init__(self, tensors: Tensors, channels: int) -> None:
        """``channels``: of the network's input, what a normalisation after flatten refers to."""
        self.tensors = tensors
        self.unused = set(tensors)
        self.channels = channels
        self.count = 0

    def chain(
        self, entries: Any, shape: Shape, prefix: str, place: str, depth: int = 0
    ) -> tuple[Layer, ...]:
        """Layers of ``entries``, whose first one takes ``shape``."""
        if not isinstance(entries, list) or len(entries) > 10_000:
            raise Invalid(place, "expected a list of layers")
        if depth > DEEPEST:
            raise Unsupported(place, f"more than {DEEPEST} containers inside each other")
        layers: list[Layer] = []
        for index, entry in enumerate(entries):
            self.count += 1
            if self.count > 10_000:
                raise Unsupported(place, "more than 10000 layers")
            at = f"{place}[{index}]"
            layer = self._layer(index, entry, shape, f"{prefix}.{index}", at, depth)
            if layer.width > LARGEST_STATE:
                raise Unsupported(at, f"{layer.width} outputs, more than {LARGEST_STATE}")
            layers.append(layer)
            shape = layer.out_shape
        return tuple(layers)

    def _layer(self, index: int, entry: Any, shape: Shape, name: str, at: str, depth: int) -> Layer:
        if not isinstance(entry, dict) or not isinstance(entry.get("op"), str):
            raise Invalid(at, "expected an object with a field 'op'")
        op = entry["op"]
        if op not in OPERATIONS:
            raise Unsupported(f"{at}.op", f"unknown operation {op!r:.40}")
        require_keys(entry, {"op", *OPERATIONS[op]}, at)
        found: dict[str, Any] = {"shape": shape, "out_shape": shape, "name": name}
        if op in ("dense", "distance", "order_statistic", "extension"):
            found |= self._matrix(op, entry, shape, name, at)
        elif op in CONVOLUTIONS:
            found |= self._convolution(op, entry, shape, name, at)
        elif op in GROUPED:
            found |= _groups(op, entry, shape, at)
        elif op in SHUFFLES or op in POOLS:
            found |= _pixels(op, entry, shape, at)
        elif op == "flatten":
            found["out_shape"] = (math.prod(shape),)
        elif op == "normalize":
            # A flattened image still has its channels, each a run of components.
            flattened = len(shape) == 1 and shape[0] % self.channels == 0
            channels = self.channels if flattened else shape[0]
            found["numbers"] = _normalization(entry, channels, at)
        elif op == "residual":
            found["numbers"] = _reals(entry, ("skip", "branch"), at)
            inner = self.chain(entry["layers"], shape, f"{name}.layers", f"{at}.layers", depth + 1)
            if not inner or inner[-1].out_shape != shape:
                raise Invalid(f"{at}.layers", f"the branch does not return shape {list(shape)}")
            found["parts"] = (inner,)
        elif op == "concatenate":
            found |= self._branches(entry, shape, name, at, depth)
        else:
            found["numbers"] = _reals(entry, OPERATIONS[op], at)
        return Layer(index, op, math.prod(shape), math.prod(found["out_shape"]), **found)

    def _matrix(
        self, op: str, entry: dict[str, Any], shape: Shape, name: str, at: str
    ) -> dict[str, Any]:
        if len(shape) != 1:
            raise Invalid(at, f"a {op} layer needs a flatten layer before it")
        weight = self._weight(entry, name, at)
        if weight.ndim != 2 or weight.shape[1] != shape[0] or not weight.size:
            raise Invalid(
                f"{at}.weight", f"expected float32 [out, {shape[0]}], found {weight.shape}"
            )
        found: dict[str, Any] = {"weight": weight, "out_shape": (weight.shape[0],)}
        found["bias"] = self._bias(entry, name, weight.shape[0], at)
        if op == "distance":
            found["numbers"] = _reals(entry, ("decay",), at)
            if not 0 <= found["numbers"][0] < 1:
                raise Invalid(f"{at}.decay", "expected at least 0 and less than 1")
        if op == "order_statistic":
            _whole_votes(weight, found["bias"], at)
        if op == "extension":
            if found["bias"] is None:
                raise Invalid(f"{at}.bias", "an extension needs its values")
            found["out_shape"] = (1,)
        return found

    def _convolution(
        self, op: str, entry: dict[str, Any], shape: Shape, name: str, at: str
    ) -> dict[str, Any]:
        _image(op, shape, at)
        found: dict[str, Any] = {
            key: _whole(entry, key, at, minimum=0 if key == "padding" else 1)
            for key in ("stride", "padding", "dilation", "groups")
        }
        groups = found["groups"]
        weight = self._weight(entry, name, at)
        if weight.ndim != 4 or not weight.size:
            raise Invalid(f"{at}.weight", f"expected float32 with 4 axes, found {weight.shape}")
        inputs = weight.shape[1] * groups if op == "convolution" else weight.shape[0]
        if inputs != shape[0] or weight.shape[0] % groups:
            raise Invalid(
                f"{at}.weight",
                f"found {list(weight.shape)} for {shape[0]} channels in {groups} groups",
            )
        circular = False
        if op == "convolution":
            if entry["padding_mode"] not in ("zeros", "circular"):
                raise Unsupported(f"{at}.padding_mode", f"{entry['padding_mode']!r:.40}")
            circular = entry["padding_mode"] == "circular"
        stride, padding, dilation = (found[key] for key in ("stride", "padding", "dilation"))
        sizes = []
        for size, kernel in zip(shape[1:], weight.shape[2:], strict=True):
            reach = dilation * (kernel - 1) + 1
            if op == "convolution":
                made = (size + 2 * padding - reach) // stride + 1
            else:
                made = (size - 1) * stride - 2 * padding + reach
            if size + 2 * padding < reach if op == "convolution" else made < 1:
                raise Invalid(at, f"the kernel does not fit {size} pixels with padding {padding}")
            if circular and (size % stride or made > size // stride or padding > size):
                raise Unsupported(
                    at,
                    f"circular padding {padding} of {size} pixels with stride {stride}: an output "
                    "would occur twice, or not at all",
                )
            sizes.append(made)
        out = weight.shape[0] if op == "convolution" else weight.shape[1] * groups
        return {
            **found,
            "weight": weight,
            "bias": self._bias(entry, name, out, at),
            "circular": circular,
            "out_shape": (out, *sizes),
        }

    def _branches(
        self, entry: dict[str, Any], shape: Shape, name: str, at: str, depth: int
    ) -> dict[str, Any]:
        entries = entry["branches"]
        if not isinstance(entries, list) or not 1 <= len(entries) <= 1000:
            raise Invalid(f"{at}.branches", "expected a list of 1 to 1000 lists of layers")
        parts, shapes = [], []
        for number, chain in enumerate(entries):
            place = f"{at}.branches[{number}]"
            part = self.chain(chain, shape, f"{name}.branches.{number}", place, depth + 1)
            shapes.append(part[-1].out_shape if part else shape)
            parts.append(part)
            if len(shapes[-1]) not in (1, 3) or shapes[-1][1:] != shapes[0][1:]:
                raise Invalid(place, f"returns shape {list(shapes[-1])} beside {list(shapes[0])}")
        total = sum(item[0] for item in shapes)
        return {"parts": tuple(parts), "out_shape": (total, *shapes[0][1:])}

    def _weight(self, entry: dict[str, Any], name: str, at: str) -> NDArray[np.float32]:
        weight = self._tensor(entry, "weight", name, at)
        if weight.dtype != np.float32 or not np.isfinite(weight).all():
            raise Invalid(f"{at}.weight", "not float32, or NaN or infinity among the weights")
        return weight

    def _bias(
        self, entry: dict[str, Any], name: str, count: int, at: str
    ) -> NDArray[np.float32] | None:
        if entry["bias"] is None:
            return None
        bias = self._tensor(entry, "bias", name, at)
        if bias.dtype != np.float32 or bias.shape != (count,):
            raise Invalid(f"{at}.bias", f"expected float32 [{count}]")
        if not np.isfinite(bias).all():
            raise Invalid(f"{at}.bias", "NaN or infinity among the biases")
        return bias

    def _tensor(self, entry: dict[str, Any], key: str, name: str, at: str) -> np.ndarray:
        expected = f"{name}.{key}"
        if entry[key] != expected or expected not in self.tensors:
            raise Invalid(f"{at}.{key}", f"expected the tensor {expected!r:.60}")
        self.unused.discard(expected)
        return self.tensors[expected]


def _whole_votes(weight: NDArray[np.float32], bias: NDArray[np.float32] | None, at: str) -> None:
    """Whole numbers whose sums no arithmetic rounds, and thresholds that some level reaches."""
    total = np.abs(weight).sum(axis=1, dtype=np.float64)
    if (weight != np.rint(weight)).any() or (total > LARGEST_VOTES).any():
        raise Invalid(f"{at}.weight", "expected whole numbers, a row's sizes at most 2^24 in sum")
    if bias is None or (bias != np.rint(bias)).any() or (bias < 1).any() or (bias > total).any():
        raise Invalid(f"{at}.bias", "expected whole numbers from 1 to the sum of a row's sizes")


def _groups(op: str, entry: dict[str, Any], shape: Shape, at: str) -> dict[str, Any]:
    size = _whole(entry, "group_size", at)
    if len(shape) not in (1, 3):
        raise Unsupported(at, f"{op} over a state of {len(shape)} axes")
    if shape[0] % size:
        unit = "width" if len(shape) == 1 else "channels"
        raise Invalid(f"{at}.group_size", f"{unit} {shape[0]} is no multiple of {size!r:.20}")
    out = (shape[0] // size, *shape[1:]) if op == "maxout" else shape
    return {"size": size, "out_shape": out}


def _pixels(op: str, entry: dict[str, Any], shape: Shape, at: str) -> dict[str, Any]:
    _image(op, shape, at)
    channels, height, width = shape
    if op in POOLS:
        kernel, stride = _whole(entry, "kernel", at), _whole(entry, "stride", at)
        if kernel > min(height, width):
            raise Invalid(f"{at}.kernel", f"{kernel} does not fit {height}x{width} pixels")
        sizes = ((height - kernel) // stride + 1, (width - kernel) // stride + 1)
        return {"size": kernel, "stride": stride, "out_shape": (channels, *sizes)}
    block = _whole(entry, "block", at)
    if op == "space_to_depth":
        if height % block or width % block:
            raise Invalid(f"{at}.block", f"{block} does not divide {height}x{width} pixels")
        out = (channels * block * block, height // block, width // block)
    else:
        if channels % (block * block):
            raise Invalid(f"{at}.block", f"{channels} channels are no multiple of {block}^2")
        out = (channels // (block * block), height * block, width * block)
    return {"size": block, "out_shape": out}


def _normalization(entry: dict[str, Any], channels: int, at: str) -> tuple[float, ...]:
    columns = []
    for key in ("mean", "std"):
        values = entry[key]
        if not isinstance(values, list) or len(values) not in (1, channels):
            raise Invalid(f"{at}.{key}", f"expected a list of 1 or {channels} numbers")
        columns.append([parse_hex(value, f"{at}.{key}") for value in values])
    mean, std = columns
    if len(mean) != len(std):
        raise Invalid(at, "mean and std differ in length")
    if any(abs(value) > RANGE for value in mean) or any(
        not 1 / RANGE <= value <= RANGE for value in std
    ):
        raise Unsupported(at, f"mean beyond {RANGE:g}, or std outside [1/{RANGE:g}, {RANGE:g}]")
    return (*mean, *std)


def _reals(entry: dict[str, Any], keys: tuple[str, ...], at: str) -> tuple[float, ...]:
    numbers = tuple(parse_hex(entry[key], f"{at}.{key}") for key in keys)
    if any(abs(value) > RANGE for value in numbers):
        raise Unsupported(at, f"a number beyond {RANGE:g}")
    return numbers


def _whole(entry: dict[str, Any], key: str, at: str, minimum: int = 1) -> int:
    value = entry[key]
    if type(value) is not int or not minimum <= value < 1 << 31:
        raise Invalid(f"{at}.{key}", f"expected an integer from {minimum}, found {value!r:.20}")
    return value


def _image(op: str, shape: Shape, at: str) -> None:
    if len(shape) != 3:
        raise Invalid(at, f"a {op} layer needs images [C, H, W], found {list(shape)}")


def require_keys(entry: dict[str, Any], allowed: set[str], where: str) -> None:
    """All of these fields, and no others."""
    for key in sorted(allowed - set(entry)):
        raise Invalid(where, f"field {key!r} is missing")
    for key in sorted(set(entry) - allowed):
        raise Invalid(where, f"unknown field {key!r:.60}")
