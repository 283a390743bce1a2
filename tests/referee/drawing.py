"""Random operations of every kind and random networks of them, and their form as files hold them.

Shapes go from 1 upwards, numbers from 1e-45 to 1e25 with ties, cancellation, huge biases, and
constants anywhere between nothing and overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from definitions import Node, Shape

CONSTANTS = (
    0.0,
    1.0,
    1 - 2.0**-24,
    1 + 2.0**-23,
    1 / 3,
    2.0**-126,
    2.0**-127 * (1 + 2.0**-20),
    2.0**-149,
    2.0**-150,
    2.0**-150 * (1 + 2.0**-30),
    2.0**-200,
    2.0**-1022,
    5e-324,
    2.0**-60,
    2.0**-40,
    2.0**40,
    2.0**60,
)
"""Sizes of constants at which some arithmetic changes its ways."""
CHARACTERS = (
    "plain",
    "ties",
    "cancelling",
    "one sign",
    "sparse",
    "huge bias",
    "subnormal",
    "tiny",
    "huge",
    "wild",
    "one large",
    "uneven",
)


@dataclass
class Pen:
    """Draws numbers of one character; ``exponent`` keeps track of how large states are about."""

    rng: np.random.Generator
    character: str = "plain"
    exponent: float = 0.0
    widest: int = 12
    extreme: bool = True

    def one_of(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def size(self) -> int:
        """From 1 upwards, small ones often."""
        return int(self.one_of(1, 1, 2, 2, 3, 4, 6, int(self.rng.integers(1, self.widest + 1))))

    def constant(self, smallest: float = 0.0, largest: float = 2.0**60) -> float:
        """A real number of the graph, of either sign; at times on some arithmetic's edge."""
        value = abs(float(self.rng.standard_normal())) + 0.1
        if self.extreme and self.rng.random() < 0.4:
            value = float(self.one_of(*CONSTANTS)) * float(self.one_of(1, 1, 1.25, 0.99999))
        value = min(max(value, smallest), largest)
        return value if self.rng.random() < 0.7 or smallest > 0 else -value

    def weight(self, shape: Shape, inputs: int) -> np.ndarray:
        """A float32 array of this pen's character; products with states stay representable."""
        rng = self.rng
        values = rng.standard_normal(shape) / math.sqrt(inputs)
        if self.character == "ties":
            values = rng.integers(-2, 3, shape).astype(float)
        elif self.character == "cancelling":
            values *= 1e6
            half = values.shape[-1] // 2
            values[..., half : 2 * half] = -values[..., :half]
            values *= 1 + 2.0**-22 * rng.integers(-2, 3, shape)
        elif self.character == "one sign":
            values = 1 + 2.0**-20 * rng.random(shape)
        elif self.character == "sparse":
            # Few terms, all of one sign: what is not charged for zeros is not to spare.
            values = np.where(rng.random(shape) < 0.2, 1 + 2.0**-20 * rng.random(shape), 0.0)
        elif self.character == "one large":
            values = 2.0**-24 * (1 - 2.0**-10 * rng.random(shape))
            values[..., 0] = 1 + 2.0**-20
        elif self.character == "subnormal":
            values = np.where(rng.random(shape) < 0.5, values * 2.0**-130, values)
        elif self.character == "uneven":
            values *= 10.0 ** rng.uniform(-44, 12, shape)
        elif self.character in ("tiny", "huge", "wild"):
            low, high = {"tiny": (-45, -20), "huge": (5, 25), "wild": (-45, 25)}[self.character]
            exponent = rng.uniform(low, high)
            # The other way where the state would leave binary32 for certain.
            if not -40 < self.exponent + exponent < 34:
                exponent = -exponent / 2
            self.exponent += exponent
            values *= 10.0**exponent
        return np.clip(values, -3e38, 3e38).astype(np.float32)

    def bias(self, count: int) -> np.ndarray | None:
        if self.rng.random() < 0.3:
            return None
        values = self.rng.standard_normal(count) * 10.0 ** min(self.exponent, 30)
        if self.character == "huge bias":
            values = np.full(count, 1e6 * float(self.one_of(1, -1))) + values * 0.2
        elif self.character == "ties":
            values = self.rng.integers(-1, 2, count).astype(float)
        return values.astype(np.float32)


Drawn = Node | None
"""None: the operation takes no state of that shape."""


def _plain(op: str) -> Callable[[Pen, Shape, Any], Drawn]:
    return lambda pen, shape, depth: Node(op, shape, shape)


def _flatten(pen: Pen, shape: Shape, depth: int) -> Drawn:
    return Node("flatten", shape, (math.prod(shape),))


def _normalize(pen: Pen, shape: Shape, depth: int) -> Drawn:
    # After flatten the graph counts the input's channels; only the first layer is sure of them.
    count = pen.one_of(1, shape[0]) if len(shape) == 3 and depth == 0 else 1
    means = [pen.constant() for _ in range(count)]
    deviations = [pen.constant(2.0**-60) for _ in range(count)]
    if pen.rng.random() < 0.7:
        deviations = [float(pen.rng.uniform(0.1, 2)) for _ in range(count)]
        means = [float(pen.rng.uniform(-2, 2)) for _ in range(count)]
    return Node("normalize", shape, shape, {"mean": means, "std": deviations})


def _dense(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if len(shape) != 1:
        return None
    out = pen.size()
    weight = pen.weight((out, shape[0]), shape[0])
    return Node("dense", shape, (out,), weight=weight, bias=pen.bias(out))


def _grouped(op: str) -> Callable[[Pen, Shape, Any], Drawn]:
    def draw(pen: Pen, shape: Shape, depth: int) -> Drawn:
        if len(shape) not in (1, 3):
            return None
        size = pen.one_of(*[d for d in range(1, shape[0] + 1) if shape[0] % d == 0])
        out = (shape[0] // size, *shape[1:]) if op == "maxout" else shape
        return Node(op, shape, out, {"group_size": size})

    return draw


def _reals(op: str, *names: str) -> Callable[[Pen, Shape, Any], Drawn]:
    def draw(pen: Pen, shape: Shape, depth: int) -> Drawn:
        return Node(op, shape, shape, {name: pen.constant() for name in names})

    return draw


def _convolution(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if len(shape) != 3:
        return None
    groups = pen.one_of(*[d for d in range(1, shape[0] + 1) if shape[0] % d == 0])
    out = groups * pen.one_of(1, 1, 2)
    kernel = (pen.one_of(1, 2, 3), pen.one_of(1, 2, 3))
    stride, dilation = pen.one_of(1, 1, 2, 3), pen.one_of(1, 1, 2)
    circular = pen.rng.random() < 0.3
    padding = pen.one_of(0, 0, 1, 2)
    sizes = [
        (size + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for size, k in zip(shape[1:], kernel, strict=True)
    ]
    if min(sizes) < 1:
        return None
    if circular and any(
        size % stride or made > size // stride or padding > size
        for size, made in zip(shape[1:], sizes, strict=True)
    ):
        circular = False
    fields = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    fields["padding_mode"] = "circular" if circular else "zeros"
    terms = shape[0] // groups * kernel[0] * kernel[1]
    weight = pen.weight((out, shape[0] // groups, *kernel), terms)
    return Node("convolution", shape, (out, *sizes), fields, weight, pen.bias(out))


def _transposed(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if len(shape) != 3:
        return None
    groups = pen.one_of(*[d for d in range(1, shape[0] + 1) if shape[0] % d == 0])
    share = pen.one_of(1, 1, 2)
    kernel = (pen.one_of(1, 2, 3), pen.one_of(1, 2, 3))
    stride, dilation, padding = pen.one_of(1, 2), pen.one_of(1, 1, 2), pen.one_of(0, 0, 1)
    sizes = [
        (size - 1) * stride - 2 * padding + dilation * (k - 1) + 1
        for size, k in zip(shape[1:], kernel, strict=True)
    ]
    if min(sizes) < 1 or max(sizes) > 9:
        return None
    fields = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    weight = pen.weight((shape[0], share, *kernel), shape[0] * kernel[0] * kernel[1])
    out = (share * groups, *sizes)
    return Node("transposed_convolution", shape, out, fields, weight, pen.bias(out[0]))


def _space_to_depth(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if len(shape) != 3:
        return None
    channels, height, width = shape
    block = pen.one_of(*[b for b in (1, 2, 3) if height % b == 0 and width % b == 0])
    out = (channels * block * block, height // block, width // block)
    return Node("space_to_depth", shape, out, {"block": block})


def _depth_to_space(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if len(shape) != 3:
        return None
    channels, height, width = shape
    block = pen.one_of(*[b for b in (1, 2, 3) if channels % (b * b) == 0])
    out = (channels // (block * block), height * block, width * block)
    return Node("depth_to_space", shape, out, {"block": block})


def _pool(op: str) -> Callable[[Pen, Shape, Any], Drawn]:
    def draw(pen: Pen, shape: Shape, depth: int) -> Drawn:
        if len(shape) != 3:
            return None
        kernel, stride = int(pen.rng.integers(1, min(3, *shape[1:]) + 1)), pen.one_of(1, 2, 3)
        sizes = ((size - kernel) // stride + 1 for size in shape[1:])
        return Node(op, shape, (shape[0], *sizes), {"kernel": kernel, "stride": stride})

    return draw


def _residual(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if depth >= 3:
        return None
    inner: list[Node] = []
    for _ in range(pen.one_of(1, 1, 2, 3)):
        node = draw_operation(pen, shape, depth + 1)
        if node.out_shape == shape:
            inner.append(node)
    inner = inner or [Node("abs", shape, shape)]
    fields = {"skip": pen.constant(), "branch": pen.constant()}
    return Node("residual", shape, shape, fields, branches=[inner])


def _concatenate(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if depth >= 3 or len(shape) not in (1, 3):
        return None
    branches: list[list[Node]] = [[]]
    for _ in range(pen.one_of(0, 1, 1, 2)):
        node = draw_operation(pen, shape, depth + 1)
        if len(node.out_shape) == len(shape) and node.out_shape[1:] == shape[1:]:
            branches.append([node])
    if len(branches) > 1 and pen.rng.random() < 0.5:
        branches = branches[1:]
    if len(shape) == 1 and pen.rng.random() < 0.4:
        # Branches that take parts of the state only.
        ends = sorted(int(pen.rng.integers(0, shape[0])) for _ in range(2))
        for first, last in ((0, ends[0] + 1), (ends[1], shape[0])):
            part = np.arange(first, last).astype(np.float32)
            chosen = Node("select", shape, (last - first,), {"shape": [last - first]}, part)
            grown = Node("scale", chosen.out_shape, chosen.out_shape, {"factor": pen.constant()})
            branches.append([chosen, grown])
        branches = branches[-2:]
    total = sum(part[-1].out_shape[0] if part else shape[0] for part in branches)
    return Node("concatenate", shape, (total, *shape[1:]), branches=branches)


def _sum(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if depth >= 3:
        return None
    branches: list[list[Node]] = [[], [Node("abs", shape, shape)]]
    for _ in range(pen.one_of(0, 1, 2)):
        node = draw_operation(pen, shape, depth + 1)
        if node.out_shape == shape:
            branches.append([node])
    first = pen.one_of(0, 0, 1, len(branches) - 1)
    return Node("sum", shape, shape, branches=branches[first:])


def _select(pen: Pen, shape: Shape, depth: int) -> Drawn:
    inputs = math.prod(shape)
    out = pen.one_of((pen.size(),), (pen.size(),), (2, pen.one_of(1, 3), pen.one_of(1, 2)))
    places = pen.rng.integers(-1, inputs, math.prod(out))
    if pen.rng.random() < 0.3:
        out, places = shape, pen.rng.permutation(inputs)
    if len(out) not in (1, 3):
        return None
    weight = places.astype(np.float32)
    return Node("select", shape, out, {"shape": list(out)}, weight)


def _clip(pen: Pen, shape: Shape, depth: int) -> Drawn:
    low, high = sorted(float(np.float32(pen.constant())) for _ in range(2))
    if low == high:
        return None
    ends = {"low": pen.one_of(low, low, None), "high": pen.one_of(high, high, None)}
    return Node("clip", shape, shape, ends)


def _distance(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if len(shape) != 1:
        return None
    out = pen.size()
    decay = pen.one_of(0.0, 0.0, 0.3, 0.999, 0.5, 1 - 2.0**-30, 2.0**-150, float(pen.rng.random()))
    weight = pen.weight((out, shape[0]), 1)
    return Node("distance", shape, (out,), {"decay": decay}, weight, pen.bias(out))


def _order_statistic(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if len(shape) != 1:
        return None
    out = pen.size()
    weight = pen.rng.integers(-3, 4, (out, shape[0])).astype(np.float32)
    if pen.rng.random() < 0.2:
        weight *= np.float32(2**20 // shape[0])
    weight[:, 0] = np.where(np.abs(weight).sum(axis=1) == 0, 1, weight[:, 0])
    total = np.abs(weight).sum(axis=1)
    bias = np.floor(pen.rng.random(out) * total).astype(np.float32) + 1
    return Node("order_statistic", shape, (out,), weight=weight, bias=np.minimum(bias, total))


def _extension(pen: Pen, shape: Shape, depth: int) -> Drawn:
    if len(shape) != 1:
        return None
    count = pen.one_of(pen.size(), 12, 30)
    weight = pen.weight((count, shape[0]), 1)
    if pen.rng.random() < 0.4:
        # A cluster far away: squares of distances there are small beside squares of coordinates.
        middle = pen.rng.choice([-1.0, 1.0], shape[0]) * pen.one_of(1000, 1000, 1e6)
        weight = (weight + middle).astype(np.float32)
    bias = pen.bias(count)
    bias = np.zeros(count, dtype=np.float32) if bias is None else bias
    return Node("extension", shape, (1,), weight=weight, bias=bias)


DRAWINGS: dict[str, Callable[[Pen, Shape, Any], Drawn]] = {
    **{op: _plain(op) for op in ("identity", "relu", "abs", "tanh", "sigmoid")},
    **{op: _grouped(op) for op in ("groupsort", "maxout")},
    **{op: _pool(op) for op in ("average_pool", "max_pool", "l2_pool")},
    "scale": _reals("scale", "factor"),
    "leaky_relu": _reals("leaky_relu", "slope"),
    "flatten": _flatten,
    "clip": _clip,
    "select": _select,
    "sum": _sum,
    "normalize": _normalize,
    "dense": _dense,
    "convolution": _convolution,
    "transposed_convolution": _transposed,
    "space_to_depth": _space_to_depth,
    "depth_to_space": _depth_to_space,
    "residual": _residual,
    "concatenate": _concatenate,
    "distance": _distance,
    "order_statistic": _order_statistic,
    "extension": _extension,
}


def draw_operation(pen: Pen, shape: Shape, depth: int = 0, op: str = "") -> Node:
    """A random operation over states of ``shape``; ``op``: this one, tried until it fits."""
    for _ in range(200):
        name = op or str(pen.rng.choice(list(DRAWINGS)))
        # Smooth operations have no binary32: rare, or most networks would have none.
        if not op and name in ("tanh", "sigmoid") and pen.rng.random() < 0.7:
            continue
        node = DRAWINGS[name](pen, shape, depth)
        if node is not None and node.width <= 160:
            return node
    raise LookupError(f"{op} takes no state of shape {shape}")
