"""``average_pool``: the mean of each window, ``l = 1 / k``: m/k in L2, (m/k)^2 in L1, else 1."""

from fractions import Fraction
from functools import partial

from ._base import Any, Layer, LayerBound, State, np
from .max_pool import Pool, windows


class AveragePool(Pool):
    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        share = min(Fraction(1), Fraction(-(-layer.size // layer.stride), layer.size))
        return m.upper({"linf": Fraction(1), "l2": share, "l1": share * share}[norm])

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """``k^2 - 1`` additions, and a division or a rounded factor; of the mean of sizes."""
        m, area = state.m, layer.size * layer.size

        def mean(values: Any) -> Any:
            return m.divide(m.select(partial(windows, np.add, layer), values), float(area))

        sizes = m.norm(m.enlarge(mean(abs(state.values)), area + 3), state.norm)
        state.values = mean(state.values)
        state.rounded(layer, bound.value, sizes, area + 3, 8 * area, reach=area)
