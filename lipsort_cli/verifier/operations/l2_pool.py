"""``l2_pool``: the square root of the sum of squares of each window."""

from __future__ import annotations

from typing import Any, ClassVar

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.operation import LayerBound
from lipsort_cli.verifier.operations._windows import Pool, total
from lipsort_cli.verifier.state import State


class L2Pool(Pool):
    """``l = 1``; in L-infinity a window of k^2 pixels has the constant k."""

    node = "LpPool"
    attributes: ClassVar[dict[str, Any]] = {"p": 2}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """As for every pool, but in L-infinity."""
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


OPERATION = L2Pool()
