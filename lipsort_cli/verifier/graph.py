"""A network as data: layer graph and weights, every field checked before any use.

Format ``lipsort-graph`` version 1 (docs/certificates.md): a chain of layers over inputs ``[N,
*input_shape]``; shapes are carried from layer to layer.
"""

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Invalid, Refused, Unsupported, require
from .format import integer, listing, record, satisfying, word
from .operation import Layer, find, of, place, products, walk
from .strictjson import HEX, canonical, parse, parse_hex, sha256
from .tensors import parse_tensors

RANGE = 2.0**60  # means, deviations, factors and slopes lie within +-RANGE
LARGEST_STATE = 1 << 26  # components of a layer's output; of all together, four times as many
MOST_PRODUCTS = 1 << 37  # of a weight and a number, that one point takes: some seconds
MOST_LAYERS = 2_000
DEEPEST = 8  # containers inside containers at most

Shape = tuple[int, ...]
POSITIVE, NATURAL = integer(1, (1 << 31) - 1), integer(0, (1 << 31) - 1)
anything = satisfying(lambda _: True, "")  # chains and tensors are checked with the network
SIZES = {"group_size", "block", "kernel"}  # names of fields that are ``Layer.size``
SAME = {"weight", "bias", "stride", "padding", "dilation", "groups"}  # those under their own name


def real(value: Any, where: str) -> float:
    """A number within the range."""
    found = parse_hex(value, where)
    require(abs(found) <= RANGE, where, f"a number beyond {RANGE:g}", Unsupported)
    return found


@dataclass(frozen=True)
class Network:
    """A chain of layers over inputs ``[N, *input_shape]``, with outputs ``[N, classes]``."""

    input_shape: Shape
    classes: int
    layers: tuple[Layer, ...]

    @property
    def inputs(self) -> int:
        """Number of input components."""
        return math.prod(self.input_shape)

    def walk(self) -> Iterator[Layer]:
        """All layers, those inside containers too, in the order of the graph."""
        return walk(self.layers)

    def smooth(self) -> bool:
        """Whether a layer needs the accuracy of a mathematical library."""
        return any(of(layer).smooth for layer in self.walk())

    def graph(self) -> dict[str, Any]:
        """The graph as it was given."""
        layers, shape = [layer.entry for layer in self.layers], list(self.input_shape)
        known = {"format": "lipsort-graph", "version": 1}
        return {**known, "input_shape": shape, "classes": self.classes, "layers": layers}

    def graph_digest(self) -> str:
        """SHA-256 of the canonical graph, each number as ``float.hex`` spells it."""
        text = canonical(self.graph()).decode("ascii")
        return sha256(HEX.sub(lambda found: float.fromhex(found[0]).hex(), text).encode("ascii"))

    def weights_digest(self) -> str:
        """SHA-256 of names, shapes and float32 little-endian contents, in graph order."""
        return sha256(
            b"".join(
                f"{name}:{','.join(map(str, tensor.shape))};".encode("ascii")
                + np.ascontiguousarray(tensor, dtype="<f4").tobytes()
                for name, tensor in self.tensors().items()
            )
        )

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Weights and biases under their canonical names."""
        return {
            f"{layer.name}.{key}": tensor
            for layer in self.walk()
            for key, tensor in (("weight", layer.weight), ("bias", layer.bias))
            if tensor is not None
        }


def parse_network(data: bytes, where: str = "network") -> Network:
    """The network in the bytes of a safetensors file with a ``lipsort_graph`` in its metadata."""
    tensors, metadata = parse_tensors(data, where)
    reason = "the file holds no lipsort_graph; it is not a network of lipsort"
    require("lipsort_graph" in metadata, where, reason)
    return build_network(parse(metadata["lipsort_graph"], f"{where}.graph"), tensors, where)


def build_network(graph: Any, tensors: dict[str, np.ndarray], where: str = "network") -> Network:
    """Check a graph against its tensors. Raises :class:`Invalid` or :class:`Unsupported`."""
    at = f"{where}.graph"
    require(isinstance(graph, dict), at, "not a JSON object")
    form, version = graph.get("format"), graph.get("version")
    reason = f"format {form!r:.40} version {version!r:.20}; known: 'lipsort-graph' version 1"
    known = form == "lipsort-graph" and type(version) is int and version == 1
    require(known, at, reason, Unsupported)
    fields = dict.fromkeys(("format", "version", "layers"), anything)
    found = record(input_shape=listing(POSITIVE, 1, 8), classes=POSITIVE, **fields)(graph, at)
    shape, classes = tuple(found["input_shape"]), found["classes"]
    reason = f"more than {LARGEST_STATE} components"
    require(math.prod(shape) <= LARGEST_STATE, f"{at}.input_shape", reason, Unsupported)
    parser = Parser(tensors, shape[0], at)
    layers = parser.chain(graph["layers"], shape)
    require(layers, f"{at}.layers", "expected a list of layers")
    unused = sorted(parser.unused)[:1]
    require(not unused, where, f"tensor {unused!r:.60} belongs to no layer")
    out = layers[-1].out_shape
    require((classes,) == out, f"{at}.classes", f"the last layer returns shape {list(out)}")
    return Network(shape, classes, layers)


@dataclass(frozen=True)
class Entry:
    """One entry of a graph."""

    fields: dict[str, Any]  # each checked by itself
    shape: Shape  # of what goes in
    at: str
    channels: int  # of the network's input: what a normalisation after flatten refers to

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    def require(self, holds: object, key: str, reason: str, kind: type[Refused] = Invalid) -> None:
        """Raises Invalid, or ``kind``, at the field ``key`` unless something ``holds``."""
        require(holds, f"{self.at}.{key}" if key else self.at, reason, kind)

    def supported(self, holds: object, key: str, reason: str) -> None:
        """The same with Unsupported."""
        self.require(holds, key, reason, Unsupported)

    def image(self) -> tuple[int, int, int]:
        """The shape of an image."""
        op = self.fields["op"]
        reason = f"a {op} layer needs images [C, H, W], found {list(self.shape)}"
        self.require(len(self.shape) == 3, "", reason)
        return self.shape[0], self.shape[1], self.shape[2]

    def matrix(self) -> dict[str, Any]:
        """``weight [out, in]`` of a flat state, ``bias [out]`` or none; the shape made."""
        reason = f"a {self.fields['op']} layer needs a flatten layer before it"
        self.require(len(self.shape) == 1, "", reason)
        weight, inputs = self["weight"], self.shape[0]
        fits = weight.ndim == 2 and weight.shape[1] == inputs and weight.size
        self.require(fits, "weight", f"expected float32 [out, {inputs}], found {weight.shape}")
        return self.made(weight.shape[0])

    def made(self, count: int, *sizes: int) -> dict[str, Any]:
        """The shape made, with a bias for each of ``count`` outputs, or none."""
        bias = self["bias"]
        fits = bias is None or bias.shape == (count,)
        self.require(fits, "bias", f"expected float32 [{count}]")
        return {"out_shape": (count, *sizes)}


class Parser:
    """Reads chains of layers; ``unused`` are the tensors that no layer has taken."""

    def __init__(
        self, tensors: dict[str, np.ndarray], channels: int, where: str = "network.graph"
    ) -> None:
        """``channels``: of the network's input; ``where`` the graph is, for messages."""
        self.tensors, self.unused, self.channels = tensors, set(tensors), channels
        self.where, self.count, self.components, self.products = where, 0, 0, 0

    def chain(
        self, entries: Any, shape: Shape, prefix: str = "layers", depth: int = 0
    ) -> tuple[Layer, ...]:
        """Layers of ``entries``, whose first one takes ``shape``."""
        where = f"{self.where}.{place(prefix)}"
        require(isinstance(entries, list), where, "expected a list of layers")
        reason = f"more than {DEEPEST} containers inside each other"
        require(depth <= DEEPEST, where, reason, Unsupported)
        layers: list[Layer] = []
        for index, fields in enumerate(entries):
            self.count += 1
            reason = f"more than {MOST_LAYERS} layers"
            require(self.count <= MOST_LAYERS, where, reason, Unsupported)
            at = f"{where}[{index}]"
            layer = self._layer(index, fields, shape, f"{prefix}.{index}", at, depth)
            self.components += layer.width
            for count, most in ((layer.width, 1), (self.components, 4)):
                reason = f"{count} outputs, more than {most * LARGEST_STATE}"
                require(count <= most * LARGEST_STATE, at, reason, Unsupported)
            self.products += products(layer)
            reason = f"{self.products} products a point, over {MOST_PRODUCTS}"
            require(self.products <= MOST_PRODUCTS, at, reason, Unsupported)
            layers.append(layer)
            shape = layer.out_shape
        return tuple(layers)

    def _layer(
        self, index: int, fields: Any, shape: Shape, name: str, at: str, depth: int
    ) -> Layer:
        known = isinstance(fields, dict) and isinstance(fields.get("op"), str)
        require(known, at, "expected an object with a field 'op'")
        op, operation = fields["op"], find(fields["op"])
        if operation is None:
            raise Unsupported(f"{at}.op", f"unknown operation {op!r:.40}")
        found = record(op=word, **operation.fields)(fields, at)
        for key in {"weight", "bias"} & set(found):
            found[key] = self._tensor(found[key], f"{name}.{key}", f"{at}.{key}")
        chains = {f"branches.{n}": chain for n, chain in enumerate(found.get("branches", ()))}
        if "layers" in found:
            chains["layers"] = found["layers"]
        parts = tuple(
            self.chain(chain, shape, f"{name}.{path}", depth + 1) for path, chain in chains.items()
        )
        same = {"size" if key in SIZES else key: found[key] for key in (SAME | SIZES) & set(found)}
        numbers = tuple(value for value in found.values() if isinstance(value, float))
        attributes = {"numbers": numbers, "out_shape": shape, **same}
        attributes |= operation.parse(Entry({**found, "parts": parts}, shape, at, self.channels))
        attributes |= {"shape": shape, "name": name, "entry": deepcopy(fields), "parts": parts}
        return Layer(index, op, math.prod(shape), math.prod(attributes["out_shape"]), **attributes)

    def _tensor(self, given: Any, expected: str, where: str) -> NDArray[np.float32] | None:
        if given is None and where.endswith(".bias"):
            return None
        known = given == expected and expected in self.tensors
        require(known, where, f"expected the tensor {expected!r:.60}")
        self.unused.discard(expected)
        tensor = self.tensors[expected]
        sound = tensor.dtype == np.float32 and np.isfinite(tensor).all()
        require(sound, where, "not float32, or NaN or infinity among the numbers")
        return tensor
