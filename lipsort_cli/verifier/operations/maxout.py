"""``maxout``: the maximum of contiguous groups."""

from __future__ import annotations

from typing import Any

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operations._groups import Grouped, grouped, onnx_groups
from lipsort_cli.verifier.parsing import Entry


class Maxout(Grouped):
    """One output a group."""

    def parse(self, entry: Entry) -> dict[str, Any]:
        """Fewer features or channels come out."""
        found = super().parse(entry)
        return {**found, "out_shape": (entry.shape[0] // found["size"], *entry.shape[1:])}

    def values(self, layer: Layer, values: Any) -> Any:
        """The largest of each group."""
        return grouped(layer, values).max(axis=2).reshape(len(values), layer.width)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Reshape, ReduceMax."""
        onnx_groups(layer, builder)
        builder.node("ReduceMax", attributes={"axes": [2], "keepdims": 0}, output=output)


OPERATION = Maxout()
