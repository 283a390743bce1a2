"""``max_pool``: the maximum of each window."""

from functools import reduce

from ._base import Any, Layer, Selection, np
from ._windows import Pool, taps


class MaxPool(Pool, Selection):
    """Rounds nothing."""

    node = "MaxPool"

    def values(self, layer: Layer, values: Any) -> Any:
        return reduce(np.maximum, taps(layer, values)).reshape(len(values), layer.width)
