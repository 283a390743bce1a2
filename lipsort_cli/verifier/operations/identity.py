"""``identity``: x; nothing is done, so nothing is lost."""

from ._base import Any, Layer, LayerBound, Selection, State


class Identity(Selection):
    def values(self, layer: Layer, values: Any) -> Any:
        return values

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        pass
