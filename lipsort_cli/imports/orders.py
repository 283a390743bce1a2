"""Sorts and maxima: GroupSort, MaxMin and FullSort however they are spelled; pools of windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from lipsort_cli.imports.affine import affine, convolution
from lipsort_cli.imports.linear import NOTHING, ONE, Window, image, padded
from lipsort_cli.imports.model import Node
from lipsort_cli.imports.moves import Handler
from lipsort_cli.imports.states import ZERO, Places, State, Trace, Value, natural

MOST_SORTED = 8
"""Members of a group up to which a maximum is taken as the end of a sort, which a minimum shares.
"""


def sorted_groups(trace: Trace, value: Value, node: Node) -> Value:
    """``[..., k]`` with the last axis ascending."""
    size = value.shape[-1]
    if size == 1:
        return value
    rows = value.places.reshape(-1, size)
    if len(value.sources) == 1:
        state = value.sources[0]
        for shape in dict.fromkeys([state.shape, (state.width,)]):
            own = _contiguous(shape, size)
            found = None if own is None else _rows(own, rows)
            if found is not None:
                base = trace.settle(Value.whole(state, state.shape), shape, node.name)
                made = trace.state("groupsort", [base], shape, node.name, group_size=size)
                return Value((made,), found.reshape(value.shape))
    base = trace.settle(value, (value.places.size,), node.name)
    made = trace.state("groupsort", [base], base.shape, node.name, group_size=size)
    return Value.whole(made, value.shape)


def _contiguous(shape: tuple[int, ...], size: int) -> Places | None:
    """The groups ``[groups, size]`` that ``groupsort`` sorts in a state of that shape."""
    if len(shape) not in (1, 3) or shape[0] % size:
        return None
    places = np.arange(math.prod(shape), dtype=np.int64)
    return places.reshape(shape[0] // size, size, -1).swapaxes(1, 2).reshape(-1, size)


def _rows(own: Places, wanted: Places) -> Places | None:
    """For each wanted group the one of ``own`` with the same members; None where one is missing."""
    first = np.full(int(own.max()) + 1, -1)
    first[own[:, 0]] = np.arange(len(own))
    lowest = wanted.min(axis=1)
    if (lowest < 0).any() or (first[lowest] < 0).any():
        return None
    found = own[first[lowest]]
    return found if (np.sort(wanted, axis=1) == found).all() else None


def top_k(trace: Trace, node: Node) -> list[Value]:
    """Sorts along an axis; their values only."""
    value = node.value()
    axis = node.get("axis", -1) % len(value.shape)
    count = node.get("k", 0) if node.version < 10 else int(node.constant(1).reshape(-1)[0])
    largest = bool(node.get("largest", 1))
    if not node.get("sorted", 1):
        node.refuse("leaves the order of its outputs open (sorted=0)")
    turned = value.at(np.moveaxis(value.places, axis, -1))
    ascending = sorted_groups(trace, turned, node)
    places = ascending.places[..., ::-1] if largest else ascending.places
    return [ascending.at(np.moveaxis(places[..., :count], -1, axis))]


def _reduced(node: Node, value: Value) -> tuple[Value, tuple[int, ...]]:
    """The reduced axes as one last axis ``[..., k]``, and the shape of what remains."""
    rank = len(value.shape)
    axes = node.get("axes", None)
    if axes is None and node.input(1) is not None:
        axes = node.constant(1).reshape(-1).tolist()
    if not axes:
        if node.get("noop_with_empty_axes", 0):
            node.refuse("reduces no axis")
        axes = list(range(rank))
    axes = sorted({int(axis) % rank for axis in axes})
    rest = [axis for axis in range(rank) if axis not in axes]
    places = value.places.transpose(*rest, *axes)
    places = places.reshape(*(value.shape[axis] for axis in rest), -1)
    kept = node.get("keepdims", 1)
    shape = tuple(
        1 if axis in axes else value.shape[axis] for axis in range(rank) if kept or axis in rest
    )
    return value.at(places), shape


def extreme_of(trace: Trace, groups: Value, node: Node, largest: bool) -> Value:
    """The largest or smallest of the last axis ``[..., k]``."""
    size = groups.shape[-1]
    if size <= MOST_SORTED:
        ascending = sorted_groups(trace, groups, node)
        return ascending.at(ascending.places[..., -1 if largest else 0])
    if not largest:
        turned = affine(trace, groups, node, -ONE, NOTHING)
        return affine(trace, extreme_of(trace, turned, node, True), node, -ONE, NOTHING)
    base = trace.settle(groups, (groups.places.size,), node.name)
    made = trace.state("maxout", [base], (base.width // size,), node.name, group_size=size)
    return Value.whole(made, groups.shape[:-1])


def reduced(trace: Trace, node: Node, made_of: Callable[..., Value]) -> list[Value]:
    """ReduceMax, ReduceMin, ReduceMean and ReduceSum: what is made of the last axis of groups."""
    groups, shape = _reduced(node, node.value())
    made = made_of(trace, groups, node)
    return [made.at(made.places.reshape(shape))]


def _totals(trace: Trace, groups: Value, node: Node) -> Value:
    """Sums of the last axis ``[..., k]``: ones, as a kernel of each row's own."""
    *rows, size = groups.shape
    count = math.prod(rows)
    base = trace.settle(groups, (count * size, 1, 1), node.name)
    made = convolution(trace, base, node, np.ones((count, size, 1, 1)), groups=count)
    return Value.whole(made, rows)


def means(trace: Trace, groups: Value, node: Node) -> Value:
    """Means of the last axis; remembered, as differences from them are known better."""
    made = affine(trace, _totals(trace, groups, node), node, ONE / groups.shape[-1], NOTHING)
    trace.means[made.sources[0]] = groups
    return made


def global_pool(trace: Trace, node: Node, largest: bool) -> list[Value]:
    """GlobalMaxPool and GlobalAveragePool."""
    value = node.value()
    rows, channels, *sizes = value.shape
    shape = (rows, channels, *[1] * len(sizes))
    groups = value.at(value.places.reshape(rows, channels, -1))
    if largest:
        made = extreme_of(trace, groups, node, True)
    elif len(sizes) == 2 and sizes[0] == sizes[1] and rows == 1:
        state = trace.settle(value, natural(value.shape), node.name)
        averaged = pool(trace, state, node, "average_pool", sizes[0], sizes[0])
        trace.means[averaged] = groups
        made = Value.whole(averaged, shape)
    else:
        made = means(trace, groups, node)
    return [made.at(made.places.reshape(shape))]


def pool(trace: Trace, state: State, node: Node, op: str, kernel: int, stride: int) -> State:
    """A pool of lipsort's own on an image ``state``."""
    channels, *sizes = state.shape
    made = [(size - kernel) // stride + 1 for size in sizes]
    return trace.state(op, [state], (channels, *made), node.name, kernel=kernel, stride=stride)


def windows(node: Node, value: Value) -> tuple[Window, list[np.ndarray], bool]:
    """For each axis where every tap of every window lies ``[windows, kernel]``, in the image.

    The last tells whether a window reaches beyond the pads: one that starts there is left out.
    """
    kernel = node.get("kernel_shape", None)
    if kernel is None or len(kernel) != len(value.shape) - 2 or value.shape[0] != 1:
        node.refuse(f"a window {kernel} on {list(value.shape)}")
    sizes = value.shape[2:]
    window = Window.of(node, sizes, kernel)
    if node.get("auto_pad", "").startswith("SAME") and set(window.dilations) != {1}:
        node.refuse("auto_pad with dilations: runtimes disagree about how much is padded")
    found, over = [], False
    for size, k, s, d, (before, after) in zip(
        sizes, window.kernel, window.strides, window.dilations, window.pads, strict=True
    ):
        room = size + before + after - d * (k - 1) - 1
        if room < 0:
            node.refuse(f"a window of {k} does not fit {size}")
        count = room // s + 1
        if node.get("ceil_mode", 0) and room % s:
            # A window may start within the image or the first pad only.
            count += (room // s + 1) * s < size + before
        starts = np.arange(count) * s - before
        found.append(starts[:, None] + d * np.arange(k))
        over |= bool(found[-1].max(initial=0) >= size + after)
    return window, found, over


def _gathered(value: Value, taps: list[np.ndarray]) -> Places:
    """Places ``[1, C, windows..., taps]``, ZERO - 1 outside of the image."""
    places = value.places.reshape(value.shape[1], -1)
    sizes, axes = value.shape[2:], len(taps)
    flat: np.ndarray = np.zeros((1,) * (2 * axes), dtype=np.int64)
    inside: np.ndarray = np.ones((1,) * (2 * axes), dtype=bool)
    for axis, (size, tap) in enumerate(zip(sizes, taps, strict=True)):
        shape = [1] * (2 * axes)
        shape[axis], shape[axes + axis] = tap.shape
        tap = tap.reshape(shape)
        flat = flat * size + np.clip(tap, 0, size - 1)
        inside = inside & (tap >= 0) & (tap < size)
    counts = [tap.shape[0] for tap in taps]
    chosen = np.where(inside, places[:, flat], ZERO - 1)
    return chosen.reshape(1, value.shape[1], *counts, -1)


def is_plain(window: Window, over: bool) -> bool:
    """Whether lipsort's own pools have it: square, without pads."""
    return (
        len(window.kernel) == 2
        and all(len(set(a)) == 1 for a in (window.kernel, window.strides))
        and set(window.dilations) == {1}
        and not over
    )


def max_pool(trace: Trace, node: Node) -> list[Value]:
    """Windows of any shape; what lies in the pads does not count."""
    if len(node.outputs) > 1 and node.outputs[1]:
        node.refuse("its indices are used")
    if node.get("storage_order", 0):
        node.refuse("storage_order is not 0")
    value = node.value()
    window, taps, over = windows(node, value)
    if is_plain(window, over) and not any(map(any, window.pads)):
        state = trace.settle(value, natural(value.shape), node.name)
        made = pool(trace, state, node, "max_pool", window.kernel[0], window.strides[0])
        return [Value.whole(made, (1, *made.shape))]
    places = _gathered(value, taps)
    # A window's own members stand in for what it lacks: a maximum does not count them twice.
    filled = np.where(places < ZERO, places.max(axis=-1, keepdims=True), places)
    if (filled < ZERO).any():
        node.refuse("a window lies in the pads altogether")
    return [extreme_of(trace, value.at(filled), node, True)]


def average_pool(trace: Trace, node: Node) -> list[Value]:
    """Windows of any shape; pads are counted or not, as the node says."""
    value = node.value()
    window, taps, over = windows(node, value)
    padding, counted = any(map(any, window.pads)), bool(node.get("count_include_pad", 0))
    if over and counted:
        node.refuse("ceil_mode with count_include_pad: runtimes disagree about what is counted")
    if is_plain(window, over) and (counted or not padding):
        around = image(padded(value, window.pads), node)
        state = trace.settle(around, natural(around.shape), node.name)
        made = pool(trace, state, node, "average_pool", window.kernel[0], window.strides[0])
        return [Value.whole(made, (1, *made.shape))]
    places = _gathered(value, taps)
    members = np.full(places.shape, True) if counted else places >= ZERO
    counts = members.sum(axis=-1)
    if not counts.all():
        node.refuse("a window lies in the pads altogether")
    found = _totals(trace, value.at(np.maximum(places, ZERO)), node)
    return [affine(trace, found, node, 1 / counts, NOTHING)]


ORDERS: dict[str, Handler] = {
    "TopK": top_k,
    "ReduceMax": partial(reduced, made_of=partial(extreme_of, largest=True)),
    "ReduceMin": partial(reduced, made_of=partial(extreme_of, largest=False)),
    "ReduceMean": partial(reduced, made_of=means),
    "ReduceSum": partial(reduced, made_of=_totals),
    "GlobalMaxPool": partial(global_pool, largest=True),
    "GlobalAveragePool": partial(global_pool, largest=False),
    "MaxPool": max_pool,
    "AveragePool": average_pool,
}
