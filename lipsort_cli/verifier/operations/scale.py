"""``scale``: factor * x; the constant is |factor| in every norm."""

from ._base import Any, Layer, LayerBound, Operation, State, real


def doubt(state: State, *constants: float) -> tuple[Any, Any]:
    """What is lost where ``constants`` may be taken as zero or as any other subnormal number: its
    error is as large as itself, so ``2 |c|`` times the size of the input. To be asked before the
    operation; a term without and one with ``r``.
    """
    worst = max((abs(c) for c in constants if abs(c) < 2 * state.arithmetic.tiny), default=0.0)
    base = (state.size() + state.own + state.d0) * (2 * worst)
    return base, (state.lip + state.d1) * (2 * worst)


class Scale(Operation):
    """Four roundings cover the factor's own and the product's; underflow of either."""

    fields = {"factor": real}
    methods = ("factor",)

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.upper(abs(layer.numbers[0]))

    def scaled(self, m: Any, values: Any, number: float) -> Any:
        """The values made from ``values`` by the factor."""
        return values * number

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        sizes, vanished = state.size() * bound.value, doubt(state, *layer.numbers)
        state.values = self.scaled(state.m, state.values, *layer.numbers)
        state.rounded(layer, bound.value, sizes, 4, 8 * (1 + bound.value), doubt=vanished)
