"""``sigmoid``: 1 / (1 + exp(-x)), component by component; its slope is at most 1/4."""

from ._base import Any, np
from .tanh import Tanh


class Sigmoid(Tanh):
    methods = ("1/4",)
    slope = 0.25

    def function(self, values: Any) -> Any:
        return 1 / (1 + np.exp(-values))

    def ball(self, x: Any) -> Any:
        return ((x * 0.5).tanh() + 1) * 0.5  # without a large exponential
