"""``relu``: max(x, 0), component by component; 1-Lipschitz in every norm, rounds nothing."""

from ._base import Any, Layer, Selection, np


class Relu(Selection):
    def values(self, layer: Layer, values: Any) -> Any:
        return np.maximum(values, 0)
