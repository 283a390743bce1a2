"""``space_to_depth``: ``[C, H, W]`` to ``[C b b, H / b, W / b]``.

Channel ``c b^2 + i b + j`` is pixel ``(i, j)`` of each block of channel ``c``: a permutation.
"""

from ._base import POSITIVE, Any, Entry, Layer, Selection


class SpaceToDepth(Selection):
    fields = {"block": POSITIVE}

    def parse(self, entry: Entry) -> dict[str, Any]:
        (channels, height, width), block = entry.image(), entry["block"]
        reason = f"{block} does not divide {height}x{width} pixels"
        entry.require(not height % block and not width % block, "block", reason)
        return {"out_shape": (channels * block * block, height // block, width // block)}

    def values(self, layer: Layer, values: Any) -> Any:
        (_, height, width), block = layer.out_shape, layer.size
        parts = values.reshape(-1, layer.shape[0], height, block, width, block)
        return parts.transpose(0, 1, 3, 5, 2, 4).reshape(len(values), layer.width)
