"""``l2_pool``: the square root of the sum of squares of each window."""

from ._base import Any, Layer, LayerBound, State
from ._windows import Pool, total


class L2Pool(Pool):
    """``l = 1``; in L-infinity a window of k^2 pixels has the constant k."""

    node = "LpPool"

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.upper(layer.size) if norm == "linf" else super().constant(layer, norm, m)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Squares, a sum without cancellation, a square root; squares may underflow, overflow."""
        m, area = state.m, layer.size * layer.size
        squares = m.select(lambda array: total(layer, array), state.values * state.values)
        state.values = m.square_roots(squares)
        sizes = m.norm(m.enlarge(state.values, area + 4), state.norm)
        state.rounded(layer, bound.value, sizes, area + 4, 8 * (area + 4))
        state.square_root(area, layer)
        state.squares_fit(layer.size)

    def attributes(self, layer: Layer) -> dict[str, Any]:
        return {**super().attributes(layer), "p": 2}
