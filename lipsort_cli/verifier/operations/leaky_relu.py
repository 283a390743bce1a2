"""``leaky_relu``: max(x, 0) + slope * min(x, 0), component by component."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import LayerBound, Operation
from lipsort_cli.verifier.parsing import Entry
from lipsort_cli.verifier.state import State


class LeakyRelu(Operation):
    """The constant is max(1, |slope|) in every norm."""

    fields = ("slope",)
    methods = ("slope",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        """One number."""
        return {"numbers": entry.reals("slope")}

    def describe(self, layer: Layer) -> dict[str, Any]:
        """One number."""
        return {"slope": layer.numbers[0].hex()}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """The larger of the two slopes."""
        return m.upper(max(1.0, abs(layer.numbers[0])))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Four roundings cover the slope's own and the product's; underflow of either."""
        slope, m = layer.numbers[0], state.m
        sizes, doubt = state.size() * bound.value, state.doubt(slope)
        above = m.select(lambda values: np.maximum(values, 0), state.values)
        below = m.select(lambda values: np.minimum(values, 0), state.values)
        state.values = above + below * slope
        state.rounded(layer, bound.value, sizes, 4, 8 * (1 + bound.value), doubt=doubt)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """LeakyRelu."""
        builder.node("LeakyRelu", attributes={"alpha": layer.numbers[0]}, output=output)


OPERATION = LeakyRelu()
