"""``leaky_relu``: max(x, 0) + slope * min(x, 0); the constant is max(1, |slope|) in every norm."""

from ._base import Any, Layer, np, real
from .scale import Scale


class LeakyRelu(Scale):
    fields = {"slope": real}
    methods = ("slope",)

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.upper(max(1.0, abs(layer.numbers[0])))

    def scaled(self, m: Any, values: Any, number: float) -> Any:
        above, below = (
            m.select(end, values, m.array(np.zeros(1))) for end in (np.maximum, np.minimum)
        )
        return above + below * number
