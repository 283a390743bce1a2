"""What operations on contiguous groups share: of features, or of channels at each pixel."""

import math

from ._base import Any, Builder, Entry, Invalid, Layer, Selection, Unsupported


class Grouped(Selection):
    """1-Lipschitz in every norm, as sorting is; rounds nothing."""

    fields = ("group_size",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        size, shape = entry.whole("group_size"), entry.shape
        if len(shape) not in (1, 3):
            raise Unsupported(entry.at, f"{entry.fields['op']} over a state of {len(shape)} axes")
        if shape[0] % size:
            unit = "width" if len(shape) == 1 else "channels"
            reason = f"{unit} {shape[0]} is no multiple of {size!r:.20}"
            raise Invalid(f"{entry.at}.group_size", reason)
        return {"size": size}

    def work(self, layer: Layer, exact: bool) -> tuple[float, float]:
        return 0.0, (16.0 + 4.0 * math.log2(layer.size)) * layer.inputs

    def grouped(self, layer: Layer, values: Any) -> Any:
        """``[N, n]`` as ``[N, groups, size, pixels]``."""
        return values.reshape(len(values), -1, layer.size, math.prod(layer.shape[1:]))

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Reshape to groups of features ``[N, -1, k]``, of channels ``[N, C / k, k, H, W]``."""
        pixels = list(layer.shape[1:])
        groups = layer.shape[0] // layer.size if pixels else -1
        builder.reshape(layer, "groups", [0, groups, layer.size, *pixels])
