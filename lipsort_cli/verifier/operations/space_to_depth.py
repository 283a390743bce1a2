"""``space_to_depth``: ``[C, H, W]`` to ``[C b b, H / b, W / b]``.

Channel ``c b^2 + i b + j`` is pixel ``(i, j)`` of each block of channel ``c``.
"""

from ._base import POSITIVE, Any, Entry, Layer, Selection, np


class SpaceToDepth(Selection):
    """A permutation of components: 1-Lipschitz in every norm; rounds nothing."""

    fields = {"block": POSITIVE}
    order = (0, 1, 3, 5, 2, 4)
    """Axes of the image cut into parts, in the order in which they come out."""

    def parse(self, entry: Entry) -> dict[str, Any]:
        (channels, height, width), block = entry.image(), entry["block"]
        reason = f"{block} does not divide {height}x{width} pixels"
        entry.require(not height % block and not width % block, "block", reason)
        return {"out_shape": (channels * block * block, height // block, width // block)}

    def cut(self, layer: Layer) -> list[int]:
        """The image cut into blocks."""
        channels, height, width = layer.shape
        return [channels, height // layer.size, layer.size, width // layer.size, layer.size]

    def values(self, layer: Layer, values: Any) -> Any:
        moved = values.reshape(len(values), *self.cut(layer)).transpose(self.order)
        return np.ascontiguousarray(moved).reshape(len(values), layer.width)
