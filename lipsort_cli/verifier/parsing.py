"""From the entries of a graph to layers: every field checked, shapes carried from layer to layer.

Image states are ``[C, H, W]``; ``flatten`` makes them ``[C * H * W]``, C slowest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Invalid, Unsupported
from .layer import Layer
from .operation import find
from .strictjson import parse_hex

RANGE = 2.0**60
"""Means, factors and slopes lie within +-RANGE, standard deviations within [1/RANGE, RANGE]."""
LARGEST_STATE = 1 << 26
"""Components of a layer's output at most, and a quarter of those of all layers together: more
would not fit into memory, or take long, whatever the file."""
MOST_PRODUCTS = 1 << 37
"""Products of a weight and a number that one point takes, at most: some seconds."""
MOST_LAYERS = 2_000
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
        self.components = self.products = 0

    def chain(
        self, entries: Any, shape: Shape, prefix: str, place: str, depth: int = 0
    ) -> tuple[Layer, ...]:
        """Layers of ``entries``, whose first one takes ``shape``."""
        if not isinstance(entries, list):
            raise Invalid(place, "expected a list of layers")
        if depth > DEEPEST:
            raise Unsupported(place, f"more than {DEEPEST} containers inside each other")
        layers: list[Layer] = []
        for index, fields in enumerate(entries):
            self.count += 1
            if self.count > MOST_LAYERS:
                raise Unsupported(place, f"more than {MOST_LAYERS} layers")
            at = f"{place}[{index}]"
            layer = self._layer(index, Entry(self, fields, shape, f"{prefix}.{index}", at, depth))
            self.components += layer.width
            for count, most in ((layer.width, 1), (self.components, 4)):
                if count > most * LARGEST_STATE:
                    raise Unsupported(at, f"{count} outputs, more than {most * LARGEST_STATE}")
            if layer.weight is not None:
                self.products += layer.width * (layer.weight.size // layer.weight.shape[0])
            if self.products > MOST_PRODUCTS:
                raise Unsupported(at, f"{self.products} products a point, over {MOST_PRODUCTS}")
            layers.append(layer)
            shape = layer.out_shape
        return tuple(layers)

    def _layer(self, index: int, entry: Entry) -> Layer:
        fields, at, shape = entry.fields, entry.at, entry.shape
        if not isinstance(fields, dict) or not isinstance(fields.get("op"), str):
            raise Invalid(at, "expected an object with a field 'op'")
        op = fields["op"]
        operation = find(op)
        if operation is None:
            raise Unsupported(f"{at}.op", f"unknown operation {op!r:.40}")
        require_keys(fields, {"op", *operation.fields}, at)
        found = {"shape": shape, "out_shape": shape, "name": entry.name, **operation.parse(entry)}
        return Layer(index, op, math.prod(shape), math.prod(found["out_shape"]), **found)


@dataclass(frozen=True)
class Entry:
    """One entry of a graph, before its operation has read it; ``shape`` is what goes in."""

    parser: Parser
    fields: dict[str, Any]
    shape: Shape
    name: str
    at: str
    depth: int

    def whole(self, key: str, minimum: int = 1) -> int:
        """An integer of at least ``minimum``."""
        value = self.fields[key]
        if type(value) is not int or not minimum <= value < 1 << 31:
            raise Invalid(
                f"{self.at}.{key}", f"expected an integer from {minimum}, found {value!r:.20}"
            )
        return value

    def reals(self, *keys: str) -> tuple[float, ...]:
        """Numbers within the range."""
        numbers = tuple(parse_hex(self.fields[key], f"{self.at}.{key}") for key in keys)
        if any(abs(value) > RANGE for value in numbers):
            raise Unsupported(self.at, f"a number beyond {RANGE:g}")
        return numbers

    def image(self) -> tuple[int, int, int]:
        """The shape of an image."""
        if len(self.shape) != 3:
            op = self.fields["op"]
            raise Invalid(self.at, f"a {op} layer needs images [C, H, W], found {list(self.shape)}")
        return self.shape[0], self.shape[1], self.shape[2]

    def matrix(self) -> dict[str, Any]:
        """``weight [out, in]`` of a flat state, ``bias [out]`` or none, and the shape made."""
        if len(self.shape) != 1:
            raise Invalid(self.at, f"a {self.fields['op']} layer needs a flatten layer before it")
        weight = self.weight()
        if weight.ndim != 2 or weight.shape[1] != self.shape[0] or not weight.size:
            raise Invalid(
                f"{self.at}.weight",
                f"expected float32 [out, {self.shape[0]}], found {weight.shape}",
            )
        bias = self.bias(weight.shape[0])
        return {"weight": weight, "bias": bias, "out_shape": (weight.shape[0],)}

    def weight(self) -> NDArray[np.float32]:
        """The tensor of weights, float32 and finite."""
        weight = self._tensor("weight")
        if weight.dtype != np.float32 or not np.isfinite(weight).all():
            raise Invalid(f"{self.at}.weight", "not float32, or NaN or infinity among the weights")
        return weight

    def bias(self, count: int) -> NDArray[np.float32] | None:
        """The tensor of ``count`` biases, or None."""
        if self.fields["bias"] is None:
            return None
        bias = self._tensor("bias")
        if bias.dtype != np.float32 or bias.shape != (count,):
            raise Invalid(f"{self.at}.bias", f"expected float32 [{count}]")
        if not np.isfinite(bias).all():
            raise Invalid(f"{self.at}.bias", "NaN or infinity among the biases")
        return bias

    def chain(self, entries: Any, suffix: str, place: str) -> tuple[Layer, ...]:
        """A chain of layers inside this one."""
        name, at = f"{self.name}.{suffix}", f"{self.at}.{place}"
        return self.parser.chain(entries, self.shape, name, at, self.depth + 1)

    def _tensor(self, key: str) -> np.ndarray:
        expected = f"{self.name}.{key}"
        if self.fields[key] != expected or expected not in self.parser.tensors:
            raise Invalid(f"{self.at}.{key}", f"expected the tensor {expected!r:.60}")
        self.parser.unused.discard(expected)
        return self.parser.tensors[expected]


def require_keys(entry: dict[str, Any], allowed: set[str], where: str) -> None:
    """All of these fields, and no others."""
    for key in sorted(allowed - set(entry)):
        raise Invalid(where, f"field {key!r} is missing")
    for key in sorted(set(entry) - allowed):
        raise Invalid(where, f"unknown field {key!r:.60}")
