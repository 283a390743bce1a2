"""Numbers of a graph that are the size of the batch: a network is read for one input, of any batch.

What a file computes from that size would be another network for another batch, and no comparison
meets every size. So it may only say how many rows there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.imports.model import Node, evaluated
from lipsort_cli.imports.states import Value

Marks = NDArray[np.int64]
"""For each number of a constant: :data:`NONE`, :data:`ITSELF` or :data:`MADE`."""

NONE, ITSELF, MADE = 0, 1, 2
"""It does not depend on the size of the batch; it is that size; it is computed from it."""

_MOVING = ("Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Cast")
_WHOLE = (6, 7)
"""What Cast may make of a size for it to stay one: INT32, INT64."""


def marked(node: Node, made: Sequence[Any], known: Mapping[str, Marks]) -> dict[str, Marks]:
    """The marks of the node's outputs, those that bear any; ``known``: of what came before.

    Raises Refused where the network's values are computed with what is marked.
    """
    marks = [known.get(name) for name in node.proto.input]
    values = [isinstance(one, Value) for one in node.inputs]
    if node.op in ("Shape", "Size") and any(values):
        return {node.outputs[0]: _of_shape(node)}
    if not any(mark is not None for mark in marks):
        return {}
    if any(values):
        for place, mark in enumerate(marks):
            rows = node.op in ("Reshape", "Expand") and place == 1
            if mark is None or (rows and mark[0] != MADE and not mark[1:].any()):
                continue
            node.refuse(
                f"input {place} is computed from the size of the batch, and the network would be "
                "another for another batch; allowed: the size itself, as the first axis of Reshape "
                "and Expand"
            )
        return {}
    count = len(marks) if node.op == "Concat" else 1
    kept = node.op != "Cast" or node.get("to", 0) in _WHOLE
    if node.op in _MOVING and kept and not any(mark is not None for mark in marks[count:]):
        arrays = [np.asarray(one) if isinstance(one, np.ndarray) else None for one in node.inputs]
        moved = [
            np.full(() if array is None else array.shape, NONE) if mark is None else mark
            for mark, array in zip(marks[:count], arrays[:count], strict=True)
        ]
        found = evaluated(node, [*moved, *arrays[count:]])
    else:
        found = [np.full(np.shape(one), MADE) for one in made]
    return {
        name: mark.astype(np.int64)
        for name, mark in zip(node.outputs, found, strict=False)
        if mark.any()
    }


def _of_shape(node: Node) -> Marks:
    """Of a tensor's shape, whose first axis is the batch; of all axes, where it is not that."""
    shape = node.value().shape
    if node.op == "Size":
        return np.array(MADE)
    batch = shape[:1] == (1,)
    marks = np.array([ITSELF if batch else MADE, *[NONE if batch else MADE] * (len(shape) - 1)])
    return marks[node.get("start", 0) : node.get("end", None)]
