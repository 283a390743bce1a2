"""``groupsort``: contiguous groups, each sorted ascending."""

from ._base import Any, Builder, Layer, np
from ._groups import Grouped


class Groupsort(Grouped):
    """Groups of two by minimum and maximum, others by sorting."""

    def values(self, layer: Layer, values: Any) -> Any:
        groups = self.grouped(layer, values)
        if layer.size != 2:
            return np.sort(groups, axis=2).reshape(len(values), layer.width)
        made = np.empty_like(groups)
        np.minimum(groups[:, :, 0], groups[:, :, 1], out=made[:, :, 0])
        np.maximum(groups[:, :, 0], groups[:, :, 1], out=made[:, :, 1])
        return made.reshape(len(values), layer.width)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Reshape, TopK of all (smallest first, sorted), Reshape."""
        super().onnx(layer, builder, "")
        size = builder.integers(layer, "size", [layer.size])
        order = {"axis": 2 if len(layer.shape) > 1 else -1, "largest": 0, "sorted": 1}
        builder.node("TopK", size, order, extra=[f"{layer.name}.order"])
        builder.reshape(layer, "flat", [0, *layer.out_shape], output)
