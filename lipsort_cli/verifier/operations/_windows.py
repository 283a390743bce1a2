"""What pools share: a ``k x k`` window every ``s`` pixels, no padding.

A pixel lies in up to ``m = ceil(k / s)`` windows an axis. For a window function with ``|f(a) -
f(b)|^2 <= l^2 sum (a - b)^2``, summing over windows gives the constant ``l m`` in L2.
"""

from collections.abc import Iterator
from functools import reduce

from ._base import Any, Entry, Invalid, Layer, Operation, np


class Pool(Operation):
    """A function of each window; with ``l = 1`` its constant is 1 in L-infinity and m^2 in L1."""

    fields = ("kernel", "stride")
    methods = ("windows",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        channels, height, width = entry.image()
        kernel, stride = entry.whole("kernel"), entry.whole("stride")
        if kernel > min(height, width):
            reason = f"{kernel} does not fit {height}x{width} pixels"
            raise Invalid(f"{entry.at}.kernel", reason)
        sizes = ((height - kernel) // stride + 1, (width - kernel) // stride + 1)
        return {"size": kernel, "stride": stride, "out_shape": (channels, *sizes)}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        overlap = -(-layer.size // layer.stride)
        return m.upper({"linf": 1, "l2": overlap, "l1": overlap * overlap}[norm])

    def work(self, layer: Layer, exact: bool) -> tuple[float, float]:
        return 0.0, 12.0 * layer.inputs + (12.0 + 6.0 * layer.size**2) * layer.width

    def attributes(self, layer: Layer) -> dict[str, Any]:
        return {"kernel_shape": [layer.size] * 2, "strides": [layer.stride] * 2}


def taps(layer: Layer, values: Any) -> Iterator[Any]:
    """Every place of a pooling window in turn, as an image ``[N, C, H', W']``; no copies."""
    images, step = values.reshape(len(values), *layer.shape), layer.stride
    height, width = (step * (size - 1) + 1 for size in layer.out_shape[1:])
    for row in range(layer.size):
        for column in range(layer.size):
            yield images[:, :, row : row + height : step, column : column + width : step]


def total(layer: Layer, values: Any) -> Any:
    """The sum of each window, ``[N, m]``."""
    return reduce(np.add, taps(layer, values)).reshape(len(values), layer.width)
