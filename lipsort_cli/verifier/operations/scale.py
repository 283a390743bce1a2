"""``scale``: factor * x."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import LayerBound, Operation
from lipsort_cli.verifier.parsing import Entry
from lipsort_cli.verifier.state import State


class Scale(Operation):
    """The constant is |factor| in every norm."""

    fields = ("factor",)
    methods = ("factor",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        """One number."""
        return {"numbers": entry.reals("factor")}

    def describe(self, layer: Layer) -> dict[str, Any]:
        """One number."""
        return {"factor": layer.numbers[0].hex()}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """|factor|."""
        return m.upper(abs(layer.numbers[0]))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Four roundings cover the factor's own and the product's; underflow of either."""
        factor = layer.numbers[0]
        sizes, doubt = state.size() * abs(factor), state.doubt(factor)
        state.values = state.values * factor
        state.rounded(layer, bound.value, sizes, 4, 8 * (1 + bound.value), doubt=doubt)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Mul."""
        factor = np.array([layer.numbers[0]], dtype=np.float32)
        builder.node("Mul", builder.constant(layer, "factor", factor), output=output)


OPERATION = Scale()
