"""Nodes that act on each number alone, and sums of values."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.imports.affine import affine, convolution, uniform
from lipsort_cli.imports.linear import NOTHING, ONE, subtract
from lipsort_cli.imports.model import Node
from lipsort_cli.imports.moves import Handler
from lipsort_cli.imports.states import Shape, Trace, Value, natural


def applied(trace: Trace, value: Value, node: Node, op: str, zero: bool, **fields: Any) -> Value:
    """``op`` of each number; ``zero``: whether it keeps zeros, so that padding may stay behind."""
    if len(value.sources) != 1 or (not zero and (value.places < 0).any()):
        value = Value.whole(trace.settle(value, natural(value.shape), node.name), value.shape)
    state = value.sources[0]
    made = trace.state(op, [state], state.shape, node.name, **fields)
    return Value((made,), value.places)


def simple(op: str, zero: bool = True) -> Handler:
    """A node without attributes."""
    return lambda trace, node: [applied(trace, node.value(), node, op, zero)]


def leaky_relu(trace: Trace, node: Node) -> list[Value]:
    """Slope ``alpha`` below zero."""
    return [applied(trace, node.value(), node, "leaky_relu", True, slope=node.get("alpha", 0.01))]


def prelu(trace: Trace, node: Node) -> list[Value]:
    """One slope for all."""
    slopes = node.numbers(1).ravel()
    if not uniform(slopes):
        node.refuse("has several slopes; understood is one for all")
    return [applied(trace, node.value(), node, "leaky_relu", True, slope=float(slopes[0]))]


def clip(trace: Trace, node: Node) -> list[Value]:
    """Between two constants, either of which may be missing."""
    if node.version < 11:
        ends = [node.get("min", None), node.get("max", None)]
        ends = [None if end is None or abs(end) >= 3e38 else float(end) for end in ends]
    else:
        ends = [None if node.input(k) is None else _scalar(node, k) for k in (1, 2)]
    return [_clipped(trace, node.value(), node, *ends)]


def _scalar(node: Node, place: int) -> float | None:
    """One finite number; None for an infinite one, or the largest that there is."""
    found = node.constant(place)
    value = float(found.reshape(-1)[0]) if found.size == 1 else np.nan
    if np.isnan(value):
        node.refuse(f"input {place} is no single number")
    return None if abs(value) >= float(np.finfo(np.float32).max) else value


def _clipped(
    trace: Trace, value: Value, node: Node, low: float | None, high: float | None
) -> Value:
    if low is not None and high is not None and low >= high:
        node.refuse(f"its lower end {low} is not below its upper end {high}")
    if low is None and high is None:
        return value
    if low == 0 and high is None:
        return applied(trace, value, node, "relu", True)
    zero = (low is None or low <= 0) and (high is None or high >= 0)
    return applied(trace, value, node, "clip", zero, low=low, high=high)


def extreme(largest: bool) -> Handler:
    """Max or Min: with one constant for all, or of two values, as one half of a sort of pairs."""

    def handle(trace: Trace, node: Node) -> list[Value]:
        from lipsort_cli.imports.orders import sorted_groups

        made: Value | None = None
        ends: list[float] = []
        shape = np.broadcast_shapes(*(one.shape for one in node.inputs if one is not None))
        for place, one in enumerate(node.inputs):
            if isinstance(one, np.ndarray):
                constants = node.numbers(place).ravel()
                if not uniform(constants):
                    node.refuse(f"input {place} holds several constants; understood is one")
                ends.append(float(constants[0]))
            elif made is None:
                made = node.value(place)
                made = made.at(np.broadcast_to(made.places, shape))
            else:
                pair = stacked([made, node.value(place)])
                groups = sorted_groups(trace, pair, node)
                made = groups.at(groups.places[..., -1 if largest else 0])
        assert made is not None
        for end in ends:
            made = _clipped(trace, made, node, end if largest else None, None if largest else end)
        return [made]

    return handle


def stacked(values: list[Value]) -> Value:
    """Values broadcast to each other, along a last axis."""
    from lipsort_cli.imports.states import aligned

    whole, places = aligned(values)
    return whole.at(np.stack(np.broadcast_arrays(*places), axis=-1))


def add(trace: Trace, node: Node) -> list[Value]:
    """Values and constants."""
    values = [one for one in node.inputs if isinstance(one, Value)]
    made = values[0]
    for other in values[1:]:
        made = added(trace, made, other, node)
    for place, one in enumerate(node.inputs):
        if not isinstance(one, Value):
            made = affine(trace, made, node, ONE, node.numbers(place))
    return [made]


def added(trace: Trace, first: Value, second: Value, node: Node) -> Value:
    """The sum of two values, as a state whose parents are theirs."""
    shape = np.broadcast_shapes(first.shape, second.shape)
    both = [value.at(np.broadcast_to(value.places, shape)) for value in (first, second)]
    own = _layout(both, shape)
    states = [trace.settle(value, own, node.name) for value in both]
    if states[0] is states[1]:
        return affine(trace, Value.whole(states[0], shape), node, 2 * ONE, NOTHING)
    return Value.whole(trace.state("sum", states, own, node.name), shape)


def _layout(values: list[Value], shape: tuple[int, ...]) -> Shape:
    """The shape of a state for them: that of one which is a whole state already."""
    for value in values:
        if value.is_whole():
            return value.sources[0].shape
    return natural(shape)


MOST_CENTRED = 1024
"""Numbers of a group up to which taking off their mean is written as a matrix."""


def _centred(trace: Trace, first: Value, second: Value, node: Node) -> Value | None:
    """A value less means of its own: the same projection of every group, of norm 1."""
    groups = trace.means.get(second.sources[0]) if len(second.sources) == 1 else None
    if groups is None or groups.sources != first.sources or len(first.sources) != 1:
        return None
    rows = groups.places.reshape(-1, groups.shape[-1])
    count, size = rows.shape
    shape = np.broadcast_shapes(first.shape, second.shape)
    of = np.full(first.sources[0].width, -1)
    of[rows] = np.arange(count)[:, None]
    mean = np.broadcast_to(second.places, shape)
    known = len(np.unique(rows)) == rows.size == first.places.size
    if shape != first.shape or not known or size > MOST_CENTRED:
        return None
    if (first.places < 0).any() or not np.array_equal(of[first.places], mean):
        return None
    image = trace.settle(groups.at(rows.T), (size, count, 1), node.name)
    weight = (np.eye(size) - 1 / size)[:, :, None, None]
    made = convolution(trace, image, node, weight)
    where = np.full(first.sources[0].width, -1)
    where[rows.T] = np.arange(made.width).reshape(size, count)
    return Value((made,), where[first.places])


def difference(trace: Trace, node: Node) -> list[Value]:
    """Of two values; of a value and a constant."""
    first, second = node.input(0), node.input(1)
    if isinstance(first, Value) and isinstance(second, Value):
        found = _centred(trace, first, second, node)
        if found is not None:
            return [found]
        return [added(trace, first, affine(trace, second, node, -ONE, NOTHING), node)]
    return subtract(trace, node)


POINTWISE: dict[str, Handler] = {
    "Tanh": simple("tanh"),
    "Sigmoid": simple("sigmoid", zero=False),
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Clip": clip,
    "Max": extreme(True),
    "Min": extreme(False),
    "Add": add,
    "Sum": add,
    "Sub": difference,
}
