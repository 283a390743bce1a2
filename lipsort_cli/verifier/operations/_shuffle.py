"""Pixels to channels and back: channel ``c b^2 + i b + j`` is pixel ``(i, j)`` of each block."""

from abc import abstractmethod

from ._base import Any, Builder, Layer, Selection, np


class Shuffle(Selection):
    """A permutation of components: 1-Lipschitz in every norm; rounds nothing."""

    fields = ("block",)
    order: tuple[int, ...] = ()
    """Axes of the image cut into parts, in the order in which they come out."""

    @abstractmethod
    def parts(self, layer: Layer) -> list[int]:
        """The image cut into blocks."""

    def values(self, layer: Layer, values: Any) -> Any:
        moved = values.reshape(len(values), *self.parts(layer)).transpose(self.order)
        return np.ascontiguousarray(moved).reshape(len(values), layer.width)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Reshape, Transpose, Reshape: ONNX's own SpaceToDepth has another order of channels."""
        builder.reshape(layer, "parts", [0, *self.parts(layer)])
        builder.node("Transpose", attributes={"perm": list(self.order)})
        builder.reshape(layer, "shape", [0, *layer.out_shape], output)
