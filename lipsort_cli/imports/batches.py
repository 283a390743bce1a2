"""Numbers of a graph that are the size of the batch: a network is read for one input, of any batch.

What a file computes from that size would be another network for another batch, and no comparison
meets every size. So it may only say how many rows there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.imports.model import Model, Node, evaluated, package
from lipsort_cli.imports.states import Value

Marks = NDArray[np.int64]
"""For each number of a constant: :data:`NONE`, :data:`ITSELF`, :data:`MADE` or :data:`ROWS`."""

NONE, ITSELF, MADE, ROWS = 0, 1, 2, 3
"""It does not depend on the size of the batch; it is that size; it is computed from it. Or, for all
numbers of a constant: it has as many rows as the batch, along the first axis, which are all alike.
"""

_FILLING = {"ConstantOfShape": 0, "Expand": 1}
"""What fills a shape with one row again and again, and the input that is the shape."""
_BY_ROW = ("Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Neg", "Identity", "Cast")
"""What computes each row of its output from the same row of its inputs."""

_FEW = 64
"""Numbers of a constant that may say what shape something gets."""
_MOVING = ("Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Cast")
_WHOLE = (6, 7)
"""What Cast may make of a size for it to stay one: INT32, INT64."""


class Sizes:
    """Of a model's tensors, for any batch, by onnx's own inference from the nodes alone.

    What is inferred as one number is so for every batch; of the rest nothing is known.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def fixed(self, name: str, axis: int) -> bool:
        """Whether that axis is known to be of one size, whatever the batch."""
        dims = self._inferred.get(name, ())
        return axis < len(dims) and _known(dims[axis])

    def refuse_shared(self, node: Node, made: Sequence[Any]) -> None:
        """Raises Refused where values of the network are as many for every batch: inputs that come
        together would share them.
        """
        for name, one in zip(node.outputs, made, strict=False):
            dims = self._inferred.get(name)
            if isinstance(one, Value) and dims is not None and all(map(_known, dims)):
                node.refuse(
                    f"returns {[dim.dim_value for dim in dims]} for a batch of any size: inputs "
                    "would share it; export with a batch of 1"
                )

    @cached_property
    def _inferred(self) -> dict[str, Any]:
        onnx, given = package(), self._model.proto.graph
        helper, known = onnx.helper, {one.name for one in given.initializer}
        # What the file itself says of sizes is no evidence, and weights need not be copied.
        inputs = [
            helper.make_tensor_value_info(
                one.name, one.type.tensor_type.elem_type, ("N", *self._model.shape)
            )
            if one.name == self._model.input
            else one
            for one in given.input
            if one.name == self._model.input or one.name not in known
        ]
        outputs = [helper.make_empty_tensor_value_info(one.name) for one in given.output]
        tensors = [
            one
            if math.prod(one.dims) <= _FEW
            else onnx.TensorProto(name=one.name, dims=one.dims, data_type=one.data_type)
            for one in given.initializer
        ]
        graph = helper.make_graph(given.node, "sizes", inputs, outputs, tensors)
        model = helper.make_model(graph, opset_imports=self._model.proto.opset_import)
        found = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        return {
            one.name: one.type.tensor_type.shape.dim
            for one in (*found.value_info, *inputs, *found.output)
            if one.type.tensor_type.HasField("shape")
        }


def _known(dim: Any) -> bool:
    return bool(dim.HasField("dim_value"))


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
            if mark is None or _joins(node, mark):
                continue
            if node.op in ("Reshape", "Expand") and place == 1 and _rows_only(mark):
                continue
            node.refuse(
                f"input {place} is computed from the size of the batch, and the network would be "
                "another for another batch; allowed: the size itself, as the first axis of Reshape "
                "and Expand"
            )
        return {}
    if _fills(node, marks):
        return {node.outputs[0]: np.full(np.shape(made[0]), ROWS)}
    count = len(marks) if node.op == "Concat" else 1
    kept = node.op != "Cast" or node.get("to", 0) in _WHOLE
    filled = any(mark is not None and (mark == ROWS).any() for mark in marks)
    moving = node.op in _MOVING and kept and not filled
    if moving and not any(mark is not None for mark in marks[count:]):
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


def _rows_only(mark: Marks) -> bool:
    """Whether a shape has the size of the batch as its first number, or nowhere."""
    return mark.ndim == 1 and mark[:1].tolist() in ([NONE], [ITSELF]) and not mark[1:].any()


def _is_row(array: NDArray[Any], axes: int) -> bool:
    """Whether an array is the same for each index of the first of so many axes."""
    return array.ndim < axes or (array.ndim == axes and array.shape[0] == 1)


def _fills(node: Node, marks: Sequence[Marks | None]) -> bool:
    """Whether a constant node makes as many rows as the batch has, all alike."""
    arrays = [np.asarray(one) for one in node.inputs if one is not None]
    axes = max((array.ndim for array in arrays), default=0)
    if node.op in _BY_ROW:
        return all(
            _is_row(array, axes) if mark is None else array.ndim == axes and (mark == ROWS).all()
            for array, mark in zip(arrays, marks, strict=True)
        )
    place = _FILLING.get(node.op)
    shape = None if place is None else marks[place]
    if shape is None or shape[:1].tolist() != [ITSELF] or shape[1:].any():
        return False
    return place == 0 or (marks[0] is None and _is_row(arrays[0], len(shape)))


def _joins(node: Node, mark: Marks) -> bool:
    """Whether rows that are all alike meet the rows of the network's values one by one."""
    values = [one for one in node.inputs if isinstance(one, Value)]
    aligned = all(len(one.shape) == mark.ndim and one.shape[:1] == (1,) for one in values)
    by_row = node.op in _BY_ROW or (node.op == "Concat" and node.get("axis", 0) % mark.ndim)
    return bool(aligned and by_row and (mark == ROWS).all())


def _of_shape(node: Node, sizes: Sizes) -> Marks:
    """Of a tensor's shape: the batch is its first axis, or in any that may be of another size."""
    shape, name = node.value().shape, node.proto.input[0]
    if node.op == "Size":
        return np.array(MADE)
    marks = np.array([NONE if sizes.fixed(name, k) else MADE for k in range(len(shape))])
    if shape[:1] == (1,) and marks[0] == MADE:
        marks[0] = ITSELF
    return marks[node.get("start", 0) : node.get("end", None)]
