"""``identity``: x; nothing is done, so nothing is lost."""

from ._base import Layer, LayerBound, Operation, State


class Identity(Operation):
    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        pass
