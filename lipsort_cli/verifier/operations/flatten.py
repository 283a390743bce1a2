"""``flatten``: x as a vector, the first axis slowest; states are kept flat, so nothing is done."""

import math

from ._base import Any, Entry, Layer
from .identity import Identity


class Flatten(Identity):
    """Another shape."""

    node = "Flatten"

    def parse(self, entry: Entry) -> dict[str, Any]:
        return {"out_shape": (math.prod(entry.shape),)}

    def attributes(self, layer: Layer) -> dict[str, Any]:
        return {"axis": 1}
