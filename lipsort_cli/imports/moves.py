"""Nodes that only move numbers: carried out on places, by onnx's own reference evaluator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lipsort_cli.imports.model import Node, evaluated
from lipsort_cli.imports.states import ZERO, Trace, Value, aligned

Handler = Callable[[Trace, Node], list[Value]]
"""What a node makes of its inputs."""


def moved(trace: Trace, node: Node) -> list[Value]:
    """A node whose first input is moved as the others, constants, say."""
    value = node.value()
    rest: list[np.ndarray | None] = []
    for place, other in enumerate(node.inputs[1:], 1):
        rest.append(None if other is None else node.constant(place))
    return [value.at(made) for made in evaluated(node, [value.places, *rest])]


def pad(trace: Trace, node: Node) -> list[Value]:
    """Zeros around, or what reflections and copies of the edge select."""
    value = node.value()
    if node.get("mode", "constant") != "constant":
        return moved(trace, node)
    if node.version < 11:
        filling, pads = float(node.get("value", 0.0)), node.get("pads", None)
    else:
        filling = float(node.numbers(2, 0.0).reshape(-1)[0])
        pads = node.constant(1).tolist()
    if filling != 0.0:
        node.refuse(f"pads with {filling}; zeros, reflections and copies of the edge are allowed")
    axes = list(range(len(value.shape)))
    if node.input(3) is not None:
        axes = [int(axis) % len(value.shape) for axis in node.constant(3)]
    widths = [(0, 0)] * len(value.shape)
    for k, axis in enumerate(axes):
        widths[axis] = (int(pads[k]), int(pads[k + len(axes)]))
    places = value.places
    for axis, (before, after) in enumerate(widths):
        size = places.shape[axis]
        # A negative width takes away.
        kept = slice(max(-before, 0), size - max(-after, 0))
        places = places[(slice(None),) * axis + (kept,)]
    positive = [(max(before, 0), max(after, 0)) for before, after in widths]
    return [value.at(np.pad(places, positive, constant_values=ZERO))]


def concat(trace: Trace, node: Node) -> list[Value]:
    """Values one after the other; constants among them may only be zeros."""
    values = []
    for place, one in enumerate(node.inputs):
        if isinstance(one, np.ndarray):
            if np.any(one):
                node.refuse(f"input {place} is a constant that is not zero")
            one = Value((), np.full(one.shape, ZERO))
        values.append(one if one is not None else node.value(place))
    whole, places = aligned(values)
    # Joined at once: whatever follows has one state to come from, however it is cut again.
    joined = whole.at(np.concatenate(places, axis=node.get("axis", 1)))
    return [trace.together(joined, node.name)]


def dropout(trace: Trace, node: Node) -> list[Value]:
    """Nothing outside training."""
    training = node.input(2)
    if training is not None and bool(node.constant(2)):
        node.refuse("is in training mode")
    if len(node.outputs) > 1 and node.outputs[1]:
        node.refuse("its mask is used")
    return [node.value()]


def cast(trace: Trace, node: Node) -> list[Value]:
    """Between float32 and double, which real numbers do not notice."""
    if node.get("to", 0) not in (1, 11):
        node.refuse("changes the type to one that is neither float32 nor double")
    return [node.value()]


def kept(trace: Trace, node: Node) -> list[Value]:
    """The value itself."""
    return [node.value()]


MOVES: dict[str, Handler] = {
    **dict.fromkeys(
        (
            *("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather"),
            *("GatherElements", "GatherND", "Split", "Expand", "Tile", "DepthToSpace"),
            "SpaceToDepth",
        ),
        moved,
    ),
    "Pad": pad,
    "Concat": concat,
    "Dropout": dropout,
    "Cast": cast,
    "Identity": kept,
}
