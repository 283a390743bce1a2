"""``groupsort``: contiguous groups, each sorted ascending."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operations._groups import Grouped, grouped, onnx_groups


class GroupSort(Grouped):
    """1-Lipschitz, as sorting minimises the distance over permutations."""

    def values(self, layer: Layer, values: Any) -> Any:
        """Groups of two by minimum and maximum, others by sorting."""
        groups = grouped(layer, values)
        if layer.size != 2:
            return np.sort(groups, axis=2).reshape(len(values), layer.width)
        made = np.empty_like(groups)
        np.minimum(groups[:, :, 0], groups[:, :, 1], out=made[:, :, 0])
        np.maximum(groups[:, :, 0], groups[:, :, 1], out=made[:, :, 1])
        return made.reshape(len(values), layer.width)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Reshape, TopK of all (smallest first, sorted), Reshape."""
        onnx_groups(layer, builder)
        size = builder.integers(layer, "size", [layer.size])
        axis = 2 if len(layer.shape) > 1 else -1
        order = {"axis": axis, "largest": 0, "sorted": 1}
        builder.node("TopK", size, order, extra=[f"{layer.name}.order"])
        builder.reshape(layer, "flat", [0, *layer.out_shape], output)


OPERATION = GroupSort()
