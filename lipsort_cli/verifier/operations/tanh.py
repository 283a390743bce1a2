"""``tanh``: the hyperbolic tangent, component by component."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.verifier.operations._smooth import Smooth


class Tanh(Smooth):
    """Its slope is at most 1."""

    node = "Tanh"

    def function(self, values: Any) -> Any:
        """By NumPy."""
        return np.tanh(values)

    def ball(self, x: Any) -> Any:
        """Of one ball."""
        return x.tanh()


OPERATION = Tanh()
