"""``scale``: factor * x; the constant is |factor| in every norm."""

from ._base import Any, Builder, Layer, LayerBound, Operation, State, np


class Scale(Operation):
    """Four roundings cover the factor's own and the product's; underflow of either."""

    fields = reals = ("factor",)
    methods = ("factor",)

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.upper(abs(layer.numbers[0]))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        factor = layer.numbers[0]
        sizes, doubt = state.size() * abs(factor), state.doubt(factor)
        state.values = state.values * factor
        state.rounded(layer, bound.value, sizes, 4, 8 * (1 + bound.value), doubt=doubt)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        factor = np.array([layer.numbers[0]], dtype=np.float32)
        builder.node("Mul", builder.constant(layer, "factor", factor), output=output)
