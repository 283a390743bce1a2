"""``leaky_relu``: max(x, 0) + slope * min(x, 0); the constant is max(1, |slope|) in every norm."""

from ._base import Any, Layer, LayerBound, Operation, State, np, real
from .scale import doubt


class LeakyRelu(Operation):
    """Four roundings cover the slope's own and the product's; underflow of either."""

    fields = {"slope": real}
    methods = ("slope",)

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.upper(max(1.0, abs(layer.numbers[0])))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        slope, m = layer.numbers[0], state.m
        sizes, vanished = state.size() * bound.value, doubt(state, slope)
        above = m.select(lambda values: np.maximum(values, 0), state.values)
        below = m.select(lambda values: np.minimum(values, 0), state.values)
        state.values = above + below * slope
        state.rounded(layer, bound.value, sizes, 4, 8 * (1 + bound.value), doubt=vanished)
