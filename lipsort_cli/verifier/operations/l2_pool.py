"""``l2_pool``: the square root of the sum of squares of each window."""

import math
from functools import partial

from ..rounding import BINARY64
from ._base import Any, Layer, LayerBound, State, np
from .max_pool import Pool, windows


def squared(state: State, layer: Layer, terms: int) -> None:
    """What the root of a sum of squares loses besides, after the step's recurrence.

    Squares that underflow lose up to ``2 tiny`` each; a root makes that its square root. What was
    bounded last must not overflow squared and added up.
    """
    m, kind = state.m, state.arithmetic
    for name, tiny in (("own", m.tiny), ("d0", kind.tiny)):
        if tiny:
            lost = m.ones(layer.width, state.norm) * 4.0 * m.root(m.upper(tiny) * float(terms))
            setattr(state, name, getattr(state, name) + lost)
    base, slope = state.magnitudes[-1]
    room = 4 * math.sqrt(terms) * min(kind.largest, BINARY64.largest) ** 0.5
    state.magnitudes.append((base * room, slope * room))


class L2Pool(Pool):
    """``l = 1``; in L-infinity a window of k^2 pixels has the constant k."""

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.upper(layer.size) if norm == "linf" else super().constant(layer, norm, m)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Squares, a sum without cancellation, a square root; squares may underflow, overflow."""
        m, area = state.m, layer.size * layer.size
        total = m.select(partial(windows, np.add, layer), state.values * state.values)
        state.values = m.square_roots(total)
        sizes = m.norm(m.enlarge(state.values, area + 4), state.norm)
        state.rounded(layer, bound.value, sizes, area + 4, 8 * (area + 4))
        squared(state, layer, area)
