"""``tanh``: the hyperbolic tangent, component by component."""

from ..rounding import UNIT
from ._base import Any, Layer, LayerBound, Operation, State, Unsupported, np, require

ULPS = 16  # assumed accuracy of NumPy's binary64 tanh and exp, in units of the last place


class Tanh(Operation):
    """A smooth function of each component; its largest slope is its constant in every norm."""

    smooth = True
    slope = 1.0

    function: Any = staticmethod(np.tanh)  # of arrays; :meth:`ball` is the same of one ball

    def ball(self, x: Any) -> Any:
        return x.tanh()

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.upper(self.slope)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        name = state.arithmetic.name
        reason = f"{layer.op} has no bound in {name}: libraries differ; use 'real'"
        require(name == "real", f"network.graph.{layer.place}.op", reason, Unsupported)
        m, constant = state.m, state.m.upper(bound.value)
        if m.exactly:
            state.values, lost = m.smooth(self.ball, state.values)
        else:
            state.values, lost = self.function(state.values), (2 * ULPS + 8) * 2 * UNIT
        state.own = constant * state.own + m.ones(layer.width, state.norm) * lost
        state.lip = state.lip * constant
