"""``max_pool``: the maximum of each ``k x k`` window, every ``s`` pixels, no padding.

A pixel lies in up to ``m = ceil(k / s)`` windows an axis. For a window function with ``|f(a) -
f(b)|^2 <= l^2 sum (a - b)^2``, summing over windows gives the constant ``l m`` in L2.
"""

from collections.abc import Callable
from functools import reduce

from ._base import POSITIVE, Any, Entry, Layer, Operation, Selection, np


class Pool(Operation):
    """A function of each window; with ``l = 1`` its constant is 1 in L-infinity and m^2 in L1."""

    fields = {"kernel": POSITIVE, "stride": POSITIVE}
    methods = ("windows",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        (channels, height, width), kernel = entry.image(), entry["kernel"]
        reason = f"{kernel} does not fit {height}x{width} pixels"
        entry.require(kernel <= min(height, width), "kernel", reason)
        sizes = ((side - kernel) // entry["stride"] + 1 for side in (height, width))
        return {"out_shape": (channels, *sizes)}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        overlap = -(-layer.size // layer.stride)
        return m.upper({"linf": 1, "l2": overlap, "l1": overlap * overlap}[norm])


class MaxPool(Pool, Selection):
    """Rounds nothing."""

    def values(self, layer: Layer, values: Any) -> Any:
        return windows(np.maximum, layer, values)


def windows(function: Callable[[Any, Any], Any], layer: Layer, values: Any) -> Any:
    """Each window reduced to one number by a function of two, ``[N, m]``."""
    images, step = values.reshape(len(values), *layer.shape), layer.stride
    height, width = (step * (size - 1) + 1 for size in layer.out_shape[1:])
    taps = (
        images[:, :, row : row + height : step, column : column + width : step]
        for row in range(layer.size)
        for column in range(layer.size)
    )
    return reduce(function, taps).reshape(len(values), layer.width)
