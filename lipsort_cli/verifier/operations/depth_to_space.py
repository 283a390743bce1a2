"""``depth_to_space``: the inverse of ``space_to_depth``."""

from ._base import Any, Entry, Layer
from .space_to_depth import SpaceToDepth


class DepthToSpace(SpaceToDepth):
    def parse(self, entry: Entry) -> dict[str, Any]:
        (channels, height, width), block = entry.image(), entry["block"]
        reason = f"{channels} channels are no multiple of {block}^2"
        entry.require(not channels % (block * block), "block", reason)
        return {"out_shape": (channels // (block * block), height * block, width * block)}

    def values(self, layer: Layer, values: Any) -> Any:
        parts = values.reshape(-1, layer.out_shape[0], layer.size, layer.size, *layer.shape[1:])
        return parts.transpose(0, 1, 4, 2, 5, 3).reshape(len(values), layer.width)
