"""``relu``: max(x, 0), component by component."""

from ._base import Any, Layer, Selection, np


class Relu(Selection):
    """1-Lipschitz in every norm; rounds nothing."""

    def values(self, layer: Layer, values: Any) -> Any:
        return np.maximum(values, 0)
