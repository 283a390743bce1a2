"""``space_to_depth``: ``[C, H, W]`` to ``[C b b, H / b, W / b]``."""

from ._base import Any, Entry, Invalid, Layer
from ._shuffle import Shuffle


class SpaceToDepth(Shuffle):
    """Each block of pixels becomes one pixel with more channels."""

    order = (0, 1, 3, 5, 2, 4)

    def parse(self, entry: Entry) -> dict[str, Any]:
        (channels, height, width), block = entry.image(), entry.whole("block")
        if height % block or width % block:
            reason = f"{block} does not divide {height}x{width} pixels"
            raise Invalid(f"{entry.at}.block", reason)
        out = (channels * block * block, height // block, width // block)
        return {"size": block, "out_shape": out}

    def parts(self, layer: Layer) -> list[int]:
        channels, height, width = layer.shape
        return [channels, height // layer.size, layer.size, width // layer.size, layer.size]
