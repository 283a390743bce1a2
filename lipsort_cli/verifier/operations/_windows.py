"""What pools share: a ``k x k`` window every ``s`` pixels, no padding.

A pixel lies in up to ``m = ceil(k / s)`` windows an axis. For a window function with ``|f(a) -
f(b)|^2 <= l^2 sum (a - b)^2``, summing over windows gives the constant ``l m`` in L2.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import Operation
from lipsort_cli.verifier.parsing import Entry


class Pool(Operation):
    """A function of each window."""

    fields = ("kernel", "stride")
    methods = ("windows",)
    node = ""
    """Operation of ONNX."""
    attributes: ClassVar[dict[str, Any]] = {}

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A window that fits the image."""
        channels, height, width = entry.image()
        kernel, stride = entry.whole("kernel"), entry.whole("stride")
        if kernel > min(height, width):
            raise Invalid(f"{entry.at}.kernel", f"{kernel} does not fit {height}x{width} pixels")
        sizes = ((height - kernel) // stride + 1, (width - kernel) // stride + 1)
        return {"size": kernel, "stride": stride, "out_shape": (channels, *sizes)}

    def describe(self, layer: Layer) -> dict[str, Any]:
        """Size and step of the window."""
        return {"kernel": layer.size, "stride": layer.stride}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """1 in L-infinity, m in L2, m^2 in L1."""
        overlap = -(-layer.size // layer.stride)
        return m.upper({"linf": 1, "l2": overlap, "l1": overlap * overlap}[norm])

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """A pool without padding."""
        window = {"kernel_shape": [layer.size] * 2, "strides": [layer.stride] * 2}
        builder.node(self.node, attributes={**window, **self.attributes}, output=output)


def taps(layer: Layer, values: Any) -> Iterator[Any]:
    """Every place of a pooling window in turn, as an image ``[N, C, H', W']``; no copies."""
    images = values.reshape(len(values), *layer.shape)
    height, width = (layer.stride * (size - 1) + 1 for size in layer.out_shape[1:])
    for row in range(layer.size):
        for column in range(layer.size):
            yield images[
                :, :, row : row + height : layer.stride, column : column + width : layer.stride
            ]


def total(layer: Layer, values: Any) -> Any:
    """The sum of each window, ``[N, m]``."""
    return reduce(np.add, taps(layer, values)).reshape(len(values), layer.width)
