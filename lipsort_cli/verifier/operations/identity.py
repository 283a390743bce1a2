"""``identity``: x."""

from ._base import Any, Layer, LayerBound, Selection, State


class Identity(Selection):
    """Nothing is done, so nothing is lost."""

    def values(self, layer: Layer, values: Any) -> Any:
        return values

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        pass
