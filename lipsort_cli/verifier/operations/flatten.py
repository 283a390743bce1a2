"""``flatten``: x as a vector, the first axis slowest; states are flat, so nothing is done."""

import math

from ._base import Any, Entry
from .identity import Identity


class Flatten(Identity):
    def parse(self, entry: Entry) -> dict[str, Any]:
        return {"out_shape": (math.prod(entry.shape),)}
