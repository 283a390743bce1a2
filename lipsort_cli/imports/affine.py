"""Scales and shifts by constants: folded into the linear layer before them where there is one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.imports.model import Node
from lipsort_cli.imports.states import State, Trace, Value, natural

Array = NDArray[np.float64]
LINEAR = ("dense", "convolution", "transposed_convolution")


def affine(
    trace: Trace, value: Value, node: Node, scale: Array, shift: Array, divisor: Array | None = None
) -> Value:
    """``scale * x + shift``, arrays that broadcast with the value; or ``x / divisor``."""
    sizes = [value.shape, scale.shape, shift.shape, *([] if divisor is None else [divisor.shape])]
    shape = np.broadcast_shapes(*sizes)
    value = value.at(np.broadcast_to(value.places, shape))
    scale, shift = (np.broadcast_to(array, shape).ravel() for array in (scale, shift))
    if divisor is not None:
        divisor = np.broadcast_to(divisor, shape).ravel()
        if np.any(divisor == 0):
            node.refuse("divides by zero")
        scale = 1 / divisor
    if not np.isfinite(scale).all() or not np.isfinite(shift).all():
        node.refuse("its constants are not finite")
    if (scale == 1).all() and not shift.any():
        return value
    own = value.sources[0].shape if value.is_whole() else natural(shape)
    state = trace.settle(value, own, node.name)
    made = _folded(trace, state, node, scale, shift)
    if made is None:
        made = _apart(trace, state, node, scale, shift, divisor)
    return Value.whole(made, shape)


def uniform(array: Array) -> bool:
    """Whether all entries are the same."""
    return bool((array == array[0]).all())


def by_channel(array: Array, shape: tuple[int, ...]) -> Array | None:
    """One entry a channel, the first axis of ``shape``; None where they differ within one."""
    rows = array.reshape(shape[0], -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None


def _folded(trace: Trace, state: State, node: Node, scale: Array, shift: Array) -> State | None:
    """The same in the weights of the linear layer that ``state`` is."""
    if state.op not in LINEAR or (uniform(scale) and scale[0] != 1 and not shift.any()):
        return None  # a scale alone stays exact beside the weights
    factors, shifts = by_channel(scale, state.shape), by_channel(shift, state.shape)
    if factors is None or shifts is None:
        return None
    assert state.weight is not None
    weight, bias = state.weight, state.bias
    if state.op == "transposed_convolution":
        inputs, outputs, *kernel = weight.shape
        groups = state.fields["groups"]
        parts = weight.reshape(groups, inputs // groups, outputs, *kernel)
        weight = (parts * factors.reshape(groups, 1, outputs, 1, 1)).reshape(weight.shape)
    else:
        weight = weight * factors.reshape(-1, *[1] * (weight.ndim - 1))
    bias = shifts if bias is None else bias * factors + shifts
    names = f"{state.node} + {node.name}" if state.node != node.name else node.name
    return trace.state(state.op, state.parents, state.shape, names, weight, bias, **state.fields)


def _apart(
    trace: Trace, state: State, node: Node, scale: Array, shift: Array, divisor: Array | None
) -> State:
    """A layer of its own: ``scale``, ``normalize``, or a convolution of single pixels."""
    if uniform(scale) and not shift.any():
        factor = float(scale[0])
        return trace.state("scale", [state], state.shape, node.name, factor=factor)
    deviations = divisor if divisor is not None else (scale if (scale == 1).all() else None)
    if deviations is not None and not (divisor is not None and shift.any()):
        means = _few(-shift, state.shape)
        stds = _few(deviations, state.shape)
        if means is not None and stds is not None and min(stds) > 0:
            return _normalized(trace, state, node, means, stds)
    shape = state.shape
    if len(shape) != 3 or by_channel(scale, shape) is None or by_channel(shift, shape) is None:
        shape = (math.prod(shape), 1, 1)
    one = trace.settle(Value.whole(state, state.shape), shape, node.name)
    factors, shifts = scale.reshape(shape[0], -1)[:, 0], shift.reshape(shape[0], -1)[:, 0]
    weight = factors.reshape(-1, 1, 1, 1)
    return convolution(trace, one, node, weight, shifts if shifts.any() else None, groups=shape[0])


def _few(array: Array, shape: tuple[int, ...]) -> list[float] | None:
    """One number for all, or one a channel of an image."""
    if uniform(array):
        return [float(array[0])]
    found = by_channel(array, shape) if len(shape) == 3 else None
    return None if found is None else found.tolist()


def _normalized(
    trace: Trace, state: State, node: Node, means: list[float], stds: list[float]
) -> State:
    if state.op == "normalize" and set(state.fields["std"]) == {1.0} and not any(means):
        # What a mean was taken from is divided: one layer.
        means, state = state.fields["mean"], state.parents[0]
    count = max(len(means), len(stds))
    means, stds = (list(a) * (count if len(a) == 1 else 1) for a in (means, stds))
    return trace.state("normalize", [state], state.shape, node.name, mean=means, std=stds)


def convolution(
    trace: Trace,
    state: State,
    node: Node,
    weight: Array,
    bias: Array | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    mode: str = "zeros",
) -> State:
    """A convolution of an image ``state`` with ``weight [out, in / groups, kh, kw]``."""
    sizes = [
        (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel in zip(state.shape[1:], weight.shape[2:], strict=True)
    ]
    if min(sizes) < 1:
        node.refuse(f"a kernel of {list(weight.shape[2:])} does not fit {list(state.shape)}")
    return trace.state(
        "convolution", [state], (len(weight), *sizes), node.name, weight, bias,
        stride=stride, padding=padding, dilation=dilation, groups=groups, padding_mode=mode,
    )  # fmt: skip
