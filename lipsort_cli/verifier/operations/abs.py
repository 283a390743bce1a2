"""``abs``: |x|, component by component."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import Operation


class Abs(Operation):
    """1-Lipschitz in every norm; rounds nothing."""

    def values(self, layer: Layer, values: Any) -> Any:
        """Component by component."""
        return np.abs(values)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Abs."""
        builder.node("Abs", output=output)


OPERATION = Abs()
