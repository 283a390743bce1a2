"""``tanh``: the hyperbolic tangent, component by component."""

from ._base import Any, np
from ._smooth import Smooth


class Tanh(Smooth):
    """Its slope is at most 1."""

    node = "Tanh"

    def function(self, values: Any) -> Any:
        return np.tanh(values)

    def ball(self, x: Any) -> Any:
        return x.tanh()
