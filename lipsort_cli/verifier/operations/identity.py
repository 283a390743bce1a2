"""``identity``: x."""

from __future__ import annotations

from typing import Any

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import LayerBound, Operation
from lipsort_cli.verifier.state import State


class Identity(Operation):
    """Nothing is done, so nothing is lost."""

    def values(self, layer: Layer, values: Any) -> Any:
        """What goes in."""
        return values

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """No change."""

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Identity."""
        builder.node("Identity", output=output)


OPERATION = Identity()
