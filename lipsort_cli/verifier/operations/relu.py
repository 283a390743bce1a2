"""``relu``: max(x, 0), component by component."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import Operation


class Relu(Operation):
    """1-Lipschitz in every norm; rounds nothing."""

    def values(self, layer: Layer, values: Any) -> Any:
        """Component by component."""
        return np.maximum(values, 0)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Relu."""
        builder.node("Relu", output=output)


OPERATION = Relu()
