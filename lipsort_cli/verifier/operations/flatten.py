"""``flatten``: x as a vector, the first axis slowest; states are kept flat, so nothing is done."""

import math

from ._base import Any, Entry
from .identity import Identity


class Flatten(Identity):
    """Another shape."""

    def parse(self, entry: Entry) -> dict[str, Any]:
        return {"out_shape": (math.prod(entry.shape),)}
