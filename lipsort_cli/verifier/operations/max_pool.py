"""``max_pool``: the maximum of each window."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.operations._windows import Pool, taps


class MaxPool(Pool):
    """Rounds nothing."""

    node = "MaxPool"

    def values(self, layer: Layer, values: Any) -> Any:
        """The largest of each window."""
        return reduce(np.maximum, taps(layer, values)).reshape(len(values), layer.width)


OPERATION = MaxPool()
