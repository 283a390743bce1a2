"""``maxout``: the maximum of contiguous groups, one output a group."""

from ._base import Any, Entry, Layer
from .groupsort import Groupsort


class Maxout(Groupsort):
    def parse(self, entry: Entry) -> dict[str, Any]:
        super().parse(entry)
        return {"out_shape": (entry.shape[0] // entry["group_size"], *entry.shape[1:])}

    def values(self, layer: Layer, values: Any) -> Any:
        return self.grouped(layer, values).max(axis=2).reshape(len(values), layer.width)
