"""L2 pools: as ``LpPool``, or as the squares, means, factors and roots that torch writes.

A square has no Lipschitz constant. Here it is a state like others, but it cannot be written: only
the root of means of squares makes a layer of it.
"""

from __future__ import annotations

import math

import numpy as np

from lipsort_cli.imports.affine import affine
from lipsort_cli.imports.linear import NOTHING, ONE, multiply
from lipsort_cli.imports.model import Node
from lipsort_cli.imports.moves import Handler
from lipsort_cli.imports.orders import is_plain, pool, windows
from lipsort_cli.imports.pointwise import applied, simple
from lipsort_cli.imports.states import State, Trace, Value, natural

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


def kept(op: str) -> Handler:
    """Abs and Relu, which leave squares as they are."""
    otherwise = simple(op)

    def handle(trace: Trace, node: Node) -> list[Value]:
        value = node.value()
        return [value] if _squares(value) else otherwise(trace, node)

    return handle


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
    "Abs": kept("abs"),
    "Relu": kept("relu"),
    "Sign": sign,
    "Mul": product,
}
