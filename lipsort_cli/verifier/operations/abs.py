"""``abs``: |x|, component by component."""

from ._base import Any, Layer, Operation, np


class Abs(Operation):
    """1-Lipschitz in every norm; rounds nothing."""

    node = "Abs"

    def values(self, layer: Layer, values: Any) -> Any:
        return np.abs(values)
