"""What smooth functions share: in real arithmetic only, as libraries differ."""

from __future__ import annotations

from typing import Any

from lipsort_cli.verifier.errors import Unsupported
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import LayerBound, Operation
from lipsort_cli.verifier.state import State


class Smooth(Operation):
    """A function of each component; its largest slope is its constant in every norm."""

    smooth = True
    slope = 1.0
    node = ""
    """Operation of ONNX."""

    def function(self, values: Any) -> Any:
        """By NumPy."""
        raise NotImplementedError

    def ball(self, x: Any) -> Any:
        """Of one ball."""
        raise NotImplementedError

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """The largest slope."""
        return m.upper(self.slope)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """NumPy's function with its assumed accuracy, or ball arithmetic's."""
        if state.arithmetic.unit > 0:
            raise Unsupported(
                f"network.graph.{layer.place}.op",
                f"{layer.op} has no bound in {state.arithmetic.name}: libraries differ; use 'real'",
            )
        constant = state.m.upper(bound.value)
        state.values, lost = state.m.smooth(self.function, self.ball, state.values)
        state.own = constant * state.own + state.m.ones(layer.width, state.norm) * lost
        state.lip = state.lip * constant

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """One node."""
        builder.node(self.node, output=output)
