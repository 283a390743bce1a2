"""Numbers of a graph that are the size of the batch: a network is read for one input, of any batch.

What a file computes from that size would be another network for another batch, and no comparison
meets every size. So it may only say how many rows there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.imports.model import Model, Node, evaluated, package
from lipsort_cli.imports.states import Value

Marks = NDArray[np.int64]
"""For each number of a constant: :data:`NONE`, :data:`ITSELF` or :data:`MADE`."""

NONE, ITSELF, MADE = 0, 1, 2
"""It does not depend on the size of the batch; it is that size; it is computed from it."""

_MOVING = ("Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Cast")
_WHOLE = (6, 7)
"""What Cast may make of a size for it to stay one: INT32, INT64."""


class Sizes:
    """Of a model's tensors, for any batch, by onnx's own inference from the nodes alone."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def fixed(self, name: str, axis: int) -> bool:
        """Whether that axis is known to be of one size, whatever the batch."""
        dims = self._inferred.get(name, ())
        return axis < len(dims) and bool(dims[axis].HasField("dim_value"))

    @cached_property
    def _inferred(self) -> dict[str, Any]:
        onnx, proto = package(), type(self._model.proto)()
        proto.CopyFrom(self._model.proto)
        graph, given = proto.graph, proto.graph.input
        # What the file itself says of sizes is no evidence.
        graph.ClearField("value_info")
        for entry in graph.output:
            entry.type.tensor_type.ClearField("shape")
        for entry in given:
            if entry.name == self._model.input:
                kind, shape = entry.type.tensor_type.elem_type, ("N", *self._model.shape)
                entry.type.CopyFrom(onnx.helper.make_tensor_type_proto(kind, shape))
        graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
        entries = (*graph.value_info, *given, *graph.output)
        return {entry.name: entry.type.tensor_type.shape.dim for entry in entries}


def marked(
    node: Node, made: Sequence[Any], known: Mapping[str, Marks], sizes: Sizes
) -> dict[str, Marks]:
    """The marks of the node's outputs, those that bear any; ``known``: of what came before.

    Raises Refused where the network's values are computed with what is marked.
    """
    marks = [known.get(name) for name in node.proto.input]
    values = [isinstance(one, Value) for one in node.inputs]
    if node.op in ("Shape", "Size") and any(values):
        return {node.outputs[0]: _of_shape(node, sizes)}
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


def _of_shape(node: Node, sizes: Sizes) -> Marks:
    """Of a tensor's shape: the batch is its first axis, or in any that may be of another size."""
    shape, name = node.value().shape, node.proto.input[0]
    if node.op == "Size":
        return np.array(MADE)
    marks = np.array([NONE if sizes.fixed(name, k) else MADE for k in range(len(shape))])
    if shape[:1] == (1,) and marks[0] == MADE:
        marks[0] = ITSELF
    return marks[node.get("start", 0) : node.get("end", None)]
