"""``space_to_depth``: ``[C, H, W]`` to ``[C b b, H / b, W / b]``."""

from __future__ import annotations

from typing import Any

from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.operations._shuffle import Shuffle
from lipsort_cli.verifier.parsing import Entry


class SpaceToDepth(Shuffle):
    """Each block of pixels becomes one pixel with more channels."""

    order = (0, 1, 3, 5, 2, 4)

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A block that divides height and width."""
        channels, height, width = entry.image()
        block = entry.whole("block")
        if height % block or width % block:
            reason = f"{block} does not divide {height}x{width} pixels"
            raise Invalid(f"{entry.at}.block", reason)
        out = (channels * block * block, height // block, width // block)
        return {"size": block, "out_shape": out}

    def parts(self, layer: Layer) -> list[int]:
        """``[C, H / b, b, W / b, b]``."""
        channels, height, width = layer.shape
        return [channels, height // layer.size, layer.size, width // layer.size, layer.size]


OPERATION = SpaceToDepth()
