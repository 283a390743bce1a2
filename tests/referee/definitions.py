"""What every operation means, written from docs/certificates.md; no code of the verifier is read.

A definition is a function of a :class:`Node`, an arithmetic and values ``[N, n]`` (components of an
image with C slowest). The arithmetic says what numbers are and how they are computed with: exactly
(:mod:`exact_arithmetic`) or as some machine does (:mod:`rounded_arithmetic`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass
class Node:
    """One operation from ``shape`` to ``out_shape``; ``fields`` as in the graph, but as numbers."""

    op: str
    shape: Shape
    out_shape: Shape
    fields: dict[str, Any] = field(default_factory=dict)
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    branches: list[list[Node]] = field(default_factory=list)

    @property
    def width(self) -> int:
        return math.prod(self.out_shape)

    def walk(self) -> Iterator[Node]:
        """This operation and all inside it."""
        yield self
        for branch in self.branches:
            for node in branch:
                yield from node.walk()


Definition = Callable[[Node, Any, np.ndarray], np.ndarray]


def evaluate(chain: list[Node], arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """The chain at ``values [N, n]``, numbers of ``arithmetic``."""
    for node in chain:
        values = DEFINITIONS[node.op](node, arithmetic, values)
    return values


def _same(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    return values


def _normalize(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """(x - mean) / std, one pair a channel or one for all."""
    means, deviations = node.fields["mean"], node.fields["std"]
    run = values.shape[1] // len(means)
    found = []
    spelling = arithmetic.choose("(x - m) / s", "(x - m) (1 / s)", "x / s - m / s", "x a + b")
    for channel, (mean, std) in enumerate(zip(means, deviations, strict=True)):
        part = values[:, channel * run : (channel + 1) * run]
        m, s = arithmetic.constant(mean), arithmetic.constant(std)
        if spelling == "(x - m) / s":
            made = arithmetic.divide(arithmetic.subtract(part, m), s)
        elif spelling == "(x - m) (1 / s)":
            one = arithmetic.divide(arithmetic.constant(1.0), s)
            made = arithmetic.multiply(arithmetic.subtract(part, m), one)
        elif spelling == "x / s - m / s":
            made = arithmetic.subtract(arithmetic.divide(part, s), arithmetic.divide(m, s))
        else:
            one = arithmetic.divide(arithmetic.constant(1.0), s)
            shift = arithmetic.multiply(m, one)
            made = arithmetic.subtract(arithmetic.multiply(part, one), shift)
        found.append(made)
    return np.concatenate(found, axis=1)


def _dense(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """W x + b."""
    assert node.weight is not None
    spread = np.broadcast_to(values[:, None, :], (len(values), *node.weight.shape))
    return arithmetic.affine(spread, node.weight, node.bias)


def _relu(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    return arithmetic.maximum(values, arithmetic.constant(0.0))


def _leaky_relu(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """max(x, 0) + slope min(x, 0): one of the two is zero."""
    zero, slope = arithmetic.constant(0.0), arithmetic.constant(node.fields["slope"])
    falling = arithmetic.multiply(arithmetic.minimum(values, zero), slope)
    return arithmetic.add(arithmetic.maximum(values, zero), falling)


def _scale(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    return arithmetic.multiply(values, arithmetic.constant(node.fields["factor"]))


def _clip(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """min(max(x, low), high); None: no such end."""
    low, high = node.fields["low"], node.fields["high"]
    if low is not None:
        values = arithmetic.maximum(values, arithmetic.constant(low))
    return values if high is None else arithmetic.minimum(values, arithmetic.constant(high))


def _select(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """x at the places of the weight; zero where it is -1."""
    assert node.weight is not None
    zero = arithmetic.take(np.zeros(len(values)))
    columns = [zero if place < 0 else values[:, int(place)] for place in node.weight]
    return np.stack(columns, axis=1)


def _sum(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """f1(x) + f2(x) + ..."""
    parts = [evaluate(part, arithmetic, values) for part in node.branches]
    return arithmetic.total(np.stack(parts, axis=-1))


def _grouped(node: Node, values: np.ndarray) -> np.ndarray:
    """``[N, groups, members, pixels]``: contiguous features, or channels at each pixel."""
    pixels = math.prod(node.shape[1:])
    return values.reshape(len(values), -1, node.fields["group_size"], pixels)


def _groupsort(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    return arithmetic.ascending(_grouped(node, values), 2).reshape(values.shape)


def _maxout(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    return arithmetic.largest(_grouped(node, values), 2).reshape(len(values), -1)


def _places(shape: Shape) -> np.ndarray:
    """Where each component of an image lies in its row of values."""
    return np.arange(math.prod(shape)).reshape(shape)


def taps(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Which input component and which entry of the kernel each output adds up, ``[m, T]`` each.

    y_o(u) = sum K_oi(t) x_i(s u + d t - p), pixels beyond the image zero (or periodic). What is
    absent points one past the end, where values and weights are zero.
    """
    assert node.weight is not None
    transposed = node.op == "transposed_convolution"
    # The transpose goes from what the convolution returns to what it takes.
    taken, made = (node.out_shape, node.shape) if transposed else (node.shape, node.out_shape)
    stride, padding = node.fields["stride"], node.fields["padding"]
    dilation, groups = node.fields["dilation"], node.fields["groups"]
    circular = node.fields.get("padding_mode") == "circular"
    out, wide, tall, broad = node.weight.shape
    entries, pixels, results = _places(node.weight.shape), _places(taken), _places(made)
    lists: list[list[tuple[int, int]]] = [[] for _ in range(node.width)]
    for o in range(out):
        first = o // (out // groups) * wide
        for row, column in np.ndindex(*made[1:]):
            for i, a, b in np.ndindex(wide, tall, broad):
                v = stride * row + dilation * a - padding
                w = stride * column + dilation * b - padding
                if circular:
                    v, w = v % taken[1], w % taken[2]
                if 0 <= v < taken[1] and 0 <= w < taken[2]:
                    read, written = pixels[first + i, v, w], results[o, row, column]
                    if transposed:
                        read, written = written, read
                    lists[written].append((read, entries[o, i, a, b]))
    longest = max(1, *(len(item) for item in lists))
    absent = (math.prod(node.shape), node.weight.size)
    padded = np.array([item + [absent] * (longest - len(item)) for item in lists])
    return padded[..., 0], padded[..., 1]


def _convolution(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    assert node.weight is not None
    reads, entries = taps(node)
    zero = arithmetic.take(np.zeros((len(values), 1)))
    spread = np.concatenate([values, zero], axis=1)[:, reads]
    weights = np.append(node.weight.ravel(), np.float32(0))[entries]
    bias = node.bias
    if bias is not None:
        bias = np.repeat(bias, math.prod(node.out_shape[1:]))
    return arithmetic.affine(spread, weights, bias)


def _space_to_depth(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """Pixel (i, j) of each b x b block is channel c b^2 + i b + j."""
    return values[:, _deep(node.shape, node.fields["block"])]


def _depth_to_space(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """And back: what space_to_depth would take from each place goes there."""
    return values[:, np.argsort(_deep(node.out_shape, node.fields["block"]))]


def _deep(shape: Shape, block: int) -> np.ndarray:
    """For each component of the deep image, the component of the flat one that it is."""
    channels, height, width = shape
    flat = _places(shape)
    order = [
        flat[c, block * u + i, block * v + j]
        for c in range(channels)
        for i in range(block)
        for j in range(block)
        for u in range(height // block)
        for v in range(width // block)
    ]
    return np.array(order)


def _windows(node: Node, values: np.ndarray) -> np.ndarray:
    """Each k x k window every s pixels: ``[N, m, k k]``."""
    kernel, stride = node.fields["kernel"], node.fields["stride"]
    pixels = _places(node.shape)
    places = [
        pixels[c, stride * u : stride * u + kernel, stride * v : stride * v + kernel].ravel()
        for c, u, v in np.ndindex(*node.out_shape)
    ]
    return values[:, np.array(places)]


def _average_pool(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    windows = _windows(node, values)
    area = windows.shape[-1]
    spelling = arithmetic.choose("sum / area", "sum (1 / area)", "sum of shares")
    count, one = arithmetic.constant(float(area)), arithmetic.constant(1.0)
    if spelling == "sum / area":
        return arithmetic.divide(arithmetic.total(windows), count)
    share = arithmetic.divide(one, count)
    if spelling == "sum (1 / area)":
        return arithmetic.multiply(arithmetic.total(windows), share)
    return arithmetic.total(arithmetic.multiply(windows, share))


def _max_pool(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    return arithmetic.largest(_windows(node, values), 2)


def _l2_pool(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    return arithmetic.square_root(arithmetic.squares(_windows(node, values)))


def _residual(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """skip x + branch f(x)."""
    inner = evaluate(node.branches[0], arithmetic, values)
    kept = arithmetic.multiply(values, arithmetic.constant(node.fields["skip"]))
    added = arithmetic.multiply(inner, arithmetic.constant(node.fields["branch"]))
    return arithmetic.add(kept, added)


def _concatenate(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """(f1(x), f2(x), ...) along the first axis, which is the slowest."""
    return np.concatenate([evaluate(part, arithmetic, values) for part in node.branches], axis=1)


def _distance(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """sum_k (1 - decay) decay^k d_(k) + b_j, d the falling |x_i - w_ji|."""
    assert node.weight is not None
    weight, decay = arithmetic.take(node.weight), node.fields["decay"]
    apart = arithmetic.absolute(arithmetic.subtract(values[:, None, :], weight))
    if decay == 0.0:
        found = arithmetic.largest(apart, 2)
    else:
        found = _ranked(arithmetic, arithmetic.ascending(apart, 2)[..., ::-1], decay)
    return found if node.bias is None else arithmetic.add(found, arithmetic.take(node.bias))


def _ranked(arithmetic: Any, falling: np.ndarray, decay: float) -> np.ndarray:
    """The weighted sum of the ranks."""
    share, factor = arithmetic.complement(decay), arithmetic.constant(decay)
    count = falling.shape[-1]
    spelling = arithmetic.choose("products", "powers", "Horner")
    if spelling == "Horner":
        total = falling[..., -1]
        for rank in reversed(range(count - 1)):
            total = arithmetic.add(arithmetic.multiply(total, factor), falling[..., rank])
        return arithmetic.multiply(total, share)
    weights = [share]
    for _ in range(count - 1):
        weights.append(arithmetic.multiply(weights[-1], factor))
    if spelling == "powers" and arithmetic.name != "real":
        weights = [arithmetic.constant((1.0 - decay) * decay**rank) for rank in range(count)]
    terms = [arithmetic.multiply(falling[..., rank], weight) for rank, weight in enumerate(weights)]
    return arithmetic.total(np.stack(terms, axis=-1))


def _order_statistic(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """max {t : sum_i |w_ji| [sign(w_ji) x_i >= t] >= b_j}: attained at one of the signed inputs."""
    weight, bias = node.weight, node.bias
    assert weight is not None and bias is not None
    found = []
    for row, wanted in zip(weight, bias, strict=True):
        used = np.flatnonzero(row)
        literals = values[:, used] * np.where(row[used] > 0, 1, -1).astype(values.dtype)
        sizes = [int(abs(entry)) for entry in row[used]]
        found.append(arithmetic.monotone(lambda at, s=sizes, b=wanted: _elect(at, s, b), literals))
    return np.stack(found, axis=1)


def _elect(literals: np.ndarray, sizes: list[int], wanted: float) -> np.ndarray:
    made = []
    for row in literals:
        votes, place = 0, -1
        order = sorted(range(len(sizes)), key=lambda k: row[k], reverse=True)
        while votes < wanted:
            place += 1
            votes += sizes[order[place]]
        made.append(row[order[place]])
    return np.array(made, dtype=literals.dtype)


def _extension(node: Node, arithmetic: Any, values: np.ndarray) -> np.ndarray:
    """max_j (b_j - ||x - w_j||_2)."""
    assert node.weight is not None and node.bias is not None
    apart = arithmetic.subtract(values[:, None, :], arithmetic.take(node.weight))
    lengths = arithmetic.square_root(arithmetic.squares(apart))
    return arithmetic.largest(arithmetic.subtract(arithmetic.take(node.bias), lengths), 1)[:, None]


DEFINITIONS: dict[str, Definition] = {
    "normalize": _normalize,
    "flatten": _same,
    "identity": _same,
    "dense": _dense,
    "groupsort": _groupsort,
    "maxout": _maxout,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "abs": lambda node, arithmetic, values: arithmetic.absolute(values),
    "tanh": lambda node, arithmetic, values: arithmetic.tanh(values),
    "sigmoid": lambda node, arithmetic, values: arithmetic.sigmoid(values),
    "scale": _scale,
    "clip": _clip,
    "select": _select,
    "sum": _sum,
    "convolution": _convolution,
    "transposed_convolution": _convolution,
    "space_to_depth": _space_to_depth,
    "depth_to_space": _depth_to_space,
    "average_pool": _average_pool,
    "max_pool": _max_pool,
    "l2_pool": _l2_pool,
    "residual": _residual,
    "concatenate": _concatenate,
    "distance": _distance,
    "order_statistic": _order_statistic,
    "extension": _extension,
}
"""Every operation; a test demands that the verifier knows no other."""
