"""``maxout``: the maximum of contiguous groups."""

from ._base import Any, Builder, Entry, Layer
from ._groups import Grouped


class Maxout(Grouped):
    """One output a group."""

    def parse(self, entry: Entry) -> dict[str, Any]:
        found = super().parse(entry)
        return {**found, "out_shape": (entry.shape[0] // found["size"], *entry.shape[1:])}

    def values(self, layer: Layer, values: Any) -> Any:
        return self.grouped(layer, values).max(axis=2).reshape(len(values), layer.width)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        super().onnx(layer, builder, "")
        builder.node("ReduceMax", attributes={"axes": [2], "keepdims": 0}, output=output)
