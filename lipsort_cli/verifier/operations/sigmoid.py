"""``sigmoid``: 1 / (1 + exp(-x)), component by component."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.verifier.operations._smooth import Smooth


class Sigmoid(Smooth):
    """Its slope is at most 1/4."""

    methods = ("1/4",)
    slope = 0.25
    node = "Sigmoid"

    def function(self, values: Any) -> Any:
        """By NumPy."""
        return 1 / (1 + np.exp(-values))

    def ball(self, x: Any) -> Any:
        """Of one ball, without a large exponential."""
        return ((x * 0.5).tanh() + 1) * 0.5


OPERATION = Sigmoid()
