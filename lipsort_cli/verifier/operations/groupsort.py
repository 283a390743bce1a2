"""``groupsort``: contiguous groups of features, or of channels a pixel, sorted ascending."""

import math

from ._base import POSITIVE, Any, Entry, Layer, Selection, np


class Groupsort(Selection):
    fields = {"group_size": POSITIVE}

    def parse(self, entry: Entry) -> dict[str, Any]:
        size, shape = entry["group_size"], entry.shape
        reason = f"{entry['op']} over a state of {len(shape)} axes"
        entry.supported(len(shape) in (1, 3), "", reason)
        unit = "width" if len(shape) == 1 else "channels"
        reason = f"{unit} {shape[0]} is no multiple of {size}"
        entry.require(shape[0] % size == 0, "group_size", reason)
        return {}

    def grouped(self, layer: Layer, values: Any) -> Any:
        """``[N, n]`` as ``[N, groups, size, pixels]``."""
        return values.reshape(len(values), -1, layer.size, math.prod(layer.shape[1:]))

    def values(self, layer: Layer, values: Any) -> Any:
        """Groups of two by minimum and maximum, others by sorting."""
        groups = self.grouped(layer, values)
        if layer.size != 2:
            return np.sort(groups, axis=2).reshape(len(values), layer.width)
        pair = groups[:, :, 0], groups[:, :, 1]
        made = np.stack([np.minimum(*pair), np.maximum(*pair)], axis=2)
        return made.reshape(len(values), layer.width)
