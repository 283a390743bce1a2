"""``depth_to_space``: the inverse of ``space_to_depth``."""

from ._base import Any, Entry, Invalid, Layer
from ._shuffle import Shuffle


class DepthToSpace(Shuffle):
    """Each pixel becomes a block of pixels with fewer channels."""

    order = (0, 1, 4, 2, 5, 3)

    def parse(self, entry: Entry) -> dict[str, Any]:
        (channels, height, width), block = entry.image(), entry.whole("block")
        if channels % (block * block):
            reason = f"{channels} channels are no multiple of {block}^2"
            raise Invalid(f"{entry.at}.block", reason)
        out = (channels // (block * block), height * block, width * block)
        return {"size": block, "out_shape": out}

    def parts(self, layer: Layer) -> list[int]:
        return [layer.out_shape[0], layer.size, layer.size, *layer.shape[1:]]
