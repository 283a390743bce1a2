"""Nodes that act on each number alone, and sums of values."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from lipsort_cli.imports.affine import affine, convolution, uniform
from lipsort_cli.imports.linear import NOTHING, ONE, multiply
from lipsort_cli.imports.model import Node
from lipsort_cli.imports.moves import Handler
from lipsort_cli.imports.orders import is_plain, pool, sorted_groups, windows
from lipsort_cli.imports.states import State, Trace, Value, aligned, natural


def applied(trace: Trace, value: Value, node: Node, op: str, zero: bool, **fields: Any) -> Value:
    """``op`` of each number; ``zero``: whether it keeps zeros, so that padding may stay behind."""
    if len(value.sources) != 1 or (not zero and (value.places < 0).any()):
        value = Value.whole(trace.settle(value, natural(value.shape), node.name), value.shape)
    state = value.sources[0]
    made = trace.state(op, [state], state.shape, node.name, **fields)
    return Value((made,), value.places)


def simple(trace: Trace, node: Node, op: str, zero: bool) -> list[Value]:
    """A node without attributes."""
    return [applied(trace, node.value(), node, op, zero)]


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


def extreme(trace: Trace, node: Node, largest: bool) -> list[Value]:
    """Max or Min: with one constant for all, or of two values, as one half of a sort of pairs."""
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
            whole, places = aligned([made, node.value(place)])
            pair = whole.at(np.stack(np.broadcast_arrays(*places), axis=-1))
            groups = sorted_groups(trace, pair, node)
            made = groups.at(groups.places[..., -1 if largest else 0])
    assert made is not None
    for end in ends:
        made = _clipped(trace, made, node, end if largest else None, None if largest else end)
    return [made]


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
    # The shape of a state for them: that of one which is a whole state already.
    own = next((v.sources[0].shape for v in both if v.is_whole()), natural(shape))
    states = [trace.settle(value, own, node.name) for value in both]
    if states[0] is states[1]:
        return affine(trace, Value.whole(states[0], shape), node, 2 * ONE, NOTHING)
    return Value.whole(trace.state("sum", states, own, node.name), shape)


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
    if isinstance(first, Value):
        return [affine(trace, first, node, ONE, -node.numbers(1))]
    return [affine(trace, node.value(1), node, -ONE, node.numbers(0))]


POINTWISE: dict[str, Handler] = {
    "Tanh": partial(simple, op="tanh", zero=True),
    "Sigmoid": partial(simple, op="sigmoid", zero=False),
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Clip": clip,
    "Max": partial(extreme, largest=True),
    "Min": partial(extreme, largest=False),
    "Add": add,
    "Sum": add,
    "Sub": difference,
}


UNWRITTEN = {
    "square": "a square has no Lipschitz constant; understood is the root of means of squares",
    "sign": "a sign has no Lipschitz constant",
}
"""States that are no layers, and why."""


def _squares(value: Value) -> tuple[State, int, float] | None:
    """What was squared, averaged over ``k x k`` and scaled: the state, the pool and the factor."""
    if len(value.sources) != 1:
        return None
    state, factor = value.sources[0], 1.0
    while state.op == "scale" and state.fields["factor"] > 0:
        factor, state = factor * state.fields["factor"], state.parents[0]
    if state.op == "average_pool" and state.parents[0].op == "square":
        return state, state.fields["kernel"], factor
    return (state, 0, factor) if state.op == "square" else None


def power(trace: Trace, node: Node) -> list[Value]:
    """x^1, x^2, and x^(1/2) of means of squares."""
    value, exponents = node.value(), np.unique(node.numbers(1))
    if len(exponents) != 1 or exponents[0] not in (0.5, 1.0, 2.0):
        node.refuse(f"to the power of {exponents.tolist()}; understood are squares and their roots")
    if exponents[0] == 1.0:
        return [value]
    if exponents[0] == 0.5:
        return root(trace, node)
    return [_squared(trace, value, node)]


def _squared(trace: Trace, value: Value, node: Node) -> Value:
    """As an image in order, which a pool takes as it is."""
    state = trace.settle(value, natural(value.shape), node.name)
    return applied(trace, Value.whole(state, value.shape), node, "square", True)


def root(trace: Trace, node: Node) -> list[Value]:
    """sqrt(f mean(x^2)) over windows of k x k: sqrt(f) / k times an L2 pool."""
    value = node.value()
    found = _squares(value)
    if found is None or not found[1]:
        node.refuse("a root is understood only of means of squares, as in an L2 pool")
    state, kernel, factor = found
    stride, below = state.fields["stride"], state.parents[0].parents[0]
    made = pool(trace, below, node, "l2_pool", kernel, stride)
    share = math.sqrt(factor) / kernel
    return [affine(trace, Value((made,), value.places), node, share * ONE, NOTHING)]


def lp_pool(trace: Trace, node: Node) -> list[Value]:
    """The L2 norm of square windows."""
    value = node.value()
    if node.get("p", 2) != 2:
        node.refuse(f"p = {node.get('p', 2)}; understood is 2")
    window, _, over = windows(node, value)
    if not is_plain(window, over) or any(map(any, window.pads)):
        node.refuse("understood are square windows without pads and dilations")
    state = trace.settle(value, natural(value.shape), node.name)
    made = pool(trace, state, node, "l2_pool", window.kernel[0], window.strides[0])
    return [Value.whole(made, (1, *made.shape))]


def kept(trace: Trace, node: Node, op: str) -> list[Value]:
    """Abs and Relu, which leave squares as they are."""
    value = node.value()
    return [value] if _squares(value) else [applied(trace, value, node, op, True)]


def sign(trace: Trace, node: Node) -> list[Value]:
    """1 or 0 of squares; understood only as a factor of what it is the sign of."""
    if _squares(node.value()) is None:
        node.refuse(UNWRITTEN["sign"])
    return [applied(trace, node.value(), node, "sign", True)]


def product(trace: Trace, node: Node) -> list[Value]:
    """By a constant; of a value with itself, or of squares with their sign."""
    values = [one for one in node.inputs if isinstance(one, Value)]
    if len(values) == 2 and np.array_equal(values[0].places, values[1].places):
        first, second = (value.sources for value in values)
        if first == second:
            return [_squared(trace, values[0], node)]
        for signs, others, value in ((first, second, values[1]), (second, first, values[0])):
            if signs[0].op == "sign" and signs[0].parents == others:
                return [value]
    return multiply(trace, node)


ROOTS: dict[str, Handler] = {
    "Pow": power,
    "Sqrt": root,
    "LpPool": lp_pool,
    "Abs": partial(kept, op="abs"),
    "Relu": partial(kept, op="relu"),
    "Sign": sign,
    "Mul": product,
}
