"""``abs``: |x|, component by component."""

from ._base import Any, Layer, Selection, np


class Abs(Selection):
    """1-Lipschitz in every norm; rounds nothing."""

    def values(self, layer: Layer, values: Any) -> Any:
        return np.abs(values)
