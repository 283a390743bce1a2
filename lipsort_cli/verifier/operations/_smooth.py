"""What smooth functions share: in real arithmetic only, as libraries differ."""

from abc import abstractmethod

from ._base import Any, Layer, LayerBound, Operation, State, Unsupported


class Smooth(Operation):
    """A function of each component; its largest slope is its constant in every norm."""

    smooth = True
    slope = 1.0

    @abstractmethod
    def function(self, values: Any) -> Any:
        """By NumPy."""

    @abstractmethod
    def ball(self, x: Any) -> Any:
        """Of one ball."""

    def work(self, layer: Layer, exact: bool) -> tuple[float, float]:
        return 0.0, 80.0 * layer.width

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.upper(self.slope)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        if state.arithmetic.unit > 0:
            raise Unsupported(
                f"network.graph.{layer.place}.op",
                f"{layer.op} has no bound in {state.arithmetic.name}: libraries differ; use 'real'",
            )
        constant = state.m.upper(bound.value)
        state.values, lost = state.m.smooth(self.function, self.ball, state.values)
        state.own = constant * state.own + state.m.ones(layer.width, state.norm) * lost
        state.lip = state.lip * constant
