"""``depth_to_space``: the inverse of ``space_to_depth``."""

from __future__ import annotations

from typing import Any

from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.operations._shuffle import Shuffle
from lipsort_cli.verifier.parsing import Entry


class DepthToSpace(Shuffle):
    """Each pixel becomes a block of pixels with fewer channels."""

    order = (0, 1, 4, 2, 5, 3)

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A block whose square divides the channels."""
        channels, height, width = entry.image()
        block = entry.whole("block")
        if channels % (block * block):
            reason = f"{channels} channels are no multiple of {block}^2"
            raise Invalid(f"{entry.at}.block", reason)
        out = (channels // (block * block), height * block, width * block)
        return {"size": block, "out_shape": out}

    def parts(self, layer: Layer) -> list[int]:
        """``[C, b, b, H, W]``, C the channels that come out."""
        channels, (height, width) = layer.out_shape[0], layer.shape[1:]
        return [channels, layer.size, layer.size, height, width]


OPERATION = DepthToSpace()
