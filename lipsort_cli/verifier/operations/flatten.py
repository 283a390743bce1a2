"""``flatten``: x, as a vector; the first axis slowest."""

from __future__ import annotations

import math
from typing import Any

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import LayerBound, Operation
from lipsort_cli.verifier.parsing import Entry
from lipsort_cli.verifier.state import State


class Flatten(Operation):
    """States are kept flat, so nothing is done."""

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A vector of as many components."""
        return {"out_shape": (math.prod(entry.shape),)}

    def values(self, layer: Layer, values: Any) -> Any:
        """What goes in."""
        return values

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """No change."""

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Flatten."""
        builder.node("Flatten", attributes={"axis": 1}, output=output)


OPERATION = Flatten()
