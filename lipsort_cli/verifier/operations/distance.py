"""``distance``: sum_k (1 - decay) decay^k d_(k) + b, d_(0) >= d_(1) >= ... the sorted |x - w|.

``|x - w|`` is 1-Lipschitz component by component, sorting keeps distances, and the gradient holds
the weights of the ranks in some order with signs. With decay 0 it is the largest alone.
"""

import math
from fractions import Fraction

from ..rounding import Floats
from ._base import Any, Entry, Layer, LayerBound, NDArray, Operation, State, anything, np, real

_BLOCK = 64
_LONGEST, _SMALL = 4096, 2.0**-26  # inputs up to, decay from which its powers are formed exactly


class Distance(Operation):
    fields = {"weight": anything, "bias": anything, "decay": real}
    methods = ("ranks",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        entry.require(0 <= entry["decay"] < 1, "decay", "expected at least 0 and less than 1")
        return entry.matrix()

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """In L2 ``sqrt(out)`` times the length of the weights; in L1 ``out`` times the first.

        The squares of the weights add up to ``(1 - q) (1 - q^2n) / (1 + q)``.
        """
        if norm == "linf":
            return m.upper(1.0)
        decay, count = Fraction(layer.numbers[0]), layer.inputs
        if norm == "l1":
            return m.upper(1 - decay) * float(layer.width)
        # Bernoulli's inequality where the power would be too long a number.
        short = count <= _LONGEST and decay > _SMALL
        power = decay ** (2 * count) if short else 1 - 2 * count * (1 - decay)
        squares = (1 - decay) * (1 - max(power, Fraction(0))) / (1 + decay)
        return m.ones(layer.width, "l2") * m.root(m.upper(squares))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """A subtraction each, the largest or at least its share in a sum, and the bias."""
        m, count, shares = state.m, _roundings(layer), _shares(layer, state.m.ranks)
        bias = m.array(np.zeros(layer.width) if layer.bias is None else layer.bias)
        shares = m.powers(layer.numbers[0], len(shares)) if m.exactly else shares
        distances = m.bilinear(_weighted, state.values, m.array(layer.matrix), shares)
        state.values = distances + bias
        sizes = m.norm(m.enlarge(distances + abs(bias), layer.inputs + 8), state.norm)
        state.rounded(layer, bound.value, sizes, count, 8 * count, reach=1 / (1 - layer.numbers[0]))
        state.own = state.own + sizes * m.cut


def _roundings(layer: Layer) -> int:
    """Of a weighted sum of ranks: two for each power of decay, one for each addition.

    ``1 - decay`` may be formed from a decay that was rounded: ``decay / (1 - decay)`` more. One for
    each rank is to spare: more than ranks left out and weights flushed to zero can lose, which is
    little beside a rounding of the first rank, as ``1 - decay`` is large where a bound is finite.
    """
    decay = layer.numbers[0]
    return 4 if decay == 0.0 else 4 * layer.inputs + 16 + math.ceil(2 / (1 - decay))


def _shares(layer: Layer, bits: int) -> Floats:
    """``(1 - decay) decay^k``, rounded up, while the rest is above ``2^-bits (1 - decay)``."""
    decay, kept = layer.numbers[0], 1
    if decay > 0:
        kept = min(layer.inputs, math.ceil((bits - math.log2(1 - decay)) / -math.log2(decay)) + 2)
    weights = np.full(kept, np.nextafter(1 - decay, 2.0) if decay > 0 else 1.0)
    for rank in range(1, kept):
        weights[rank] = np.nextafter(weights[rank - 1] * decay, 2.0)
    return weights


def _weighted(values: NDArray[Any], weight: NDArray[Any], shares: NDArray[Any]) -> NDArray[Any]:
    """The largest of ``|x - w_j|`` times the shares of their ranks: ``[N, n]`` to ``[N, m]``."""
    found = np.empty((len(values), len(weight)), dtype=values.dtype)
    kept, width = len(shares), values.shape[1]
    # Some points and one output at a time, in the same place of memory.
    for start in range(0, len(values), _BLOCK):
        part = values[start : start + _BLOCK]
        space = np.empty_like(part)
        for output, row in enumerate(weight):
            distances = np.abs(np.subtract(part, row, out=space), out=space)
            if kept == 1:
                top = distances.max(axis=1, keepdims=True)
            else:
                if 2 * kept < width:
                    distances = np.partition(distances, width - kept, axis=1)[:, -kept:]
                top = np.sort(distances, axis=1)[:, ::-1][:, :kept]
            found[start : start + _BLOCK, output] = top @ shares
    return found
