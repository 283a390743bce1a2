"""What operations on contiguous groups share: of features, or of channels at each pixel."""

from __future__ import annotations

from typing import Any

from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import Operation
from lipsort_cli.verifier.parsing import Entry


class Grouped(Operation):
    """1-Lipschitz in every norm; rounds nothing."""

    fields = ("group_size",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A size that divides the number of features or channels."""
        size, shape = entry.whole("group_size"), entry.shape
        if len(shape) not in (1, 3):
            raise Unsupported(entry.at, f"{entry.fields['op']} over a state of {len(shape)} axes")
        if shape[0] % size:
            unit = "width" if len(shape) == 1 else "channels"
            raise Invalid(
                f"{entry.at}.group_size", f"{unit} {shape[0]} is no multiple of {size!r:.20}"
            )
        return {"size": size}

    def describe(self, layer: Layer) -> dict[str, Any]:
        """The size."""
        return {"group_size": layer.size}


def grouped(layer: Layer, values: Any) -> Any:
    """``[N, n]`` as ``[N, groups, size, pixels]``."""
    pixels = 1
    for size in layer.shape[1:]:
        pixels *= size
    return values.reshape(len(values), -1, layer.size, pixels)


def onnx_groups(layer: Layer, builder: Builder) -> None:
    """Reshape to groups of features ``[N, -1, k]``, of channels ``[N, C / k, k, H, W]``."""
    pixels = list(layer.shape[1:])
    groups = layer.shape[0] // layer.size if pixels else -1
    builder.reshape(layer, "groups", [0, groups, layer.size, *pixels])
