"""``extension``: max_j (b_j - ||x - w_j||_2), one output.

Each term is 1-Lipschitz in L2, sqrt(n) in L-infinity, and a maximum keeps the constant.
"""

from ..rounding import UNIT, Floats, gamma, inflate
from ._base import Any, Entry, Layer, LayerBound, Operation, State, anything, np
from .l2_pool import squared

_PAIRS = 1 << 21


class Extension(Operation):
    fields = {"weight": anything, "bias": anything}
    methods = ("centres",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        entry.matrix()
        entry.require(entry["bias"] is not None, "bias", "an extension needs its values")
        return {"out_shape": (1,)}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.ones(layer.inputs, "l2") if norm == "linf" else m.upper(1.0)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """As written: ``n + 8`` roundings of ``||x - w_j|| + |b_j|``; squares may underflow."""
        m, count = state.m, layer.inputs + 8
        state.values, above = (_exactly if m.exactly else _binary64)(layer, state.values, m)
        sizes = m.norm(m.enlarge(above, count), state.norm)
        state.rounded(layer, bound.value, sizes, count, 8 * count)
        squared(state, layer, layer.inputs)


def _exactly(layer: Layer, values: Any, m: Any) -> tuple[Any, Any]:
    """Squares of all distances by products of integers; the largest of all is a bound of sizes."""
    weight, bias = m.array(layer.matrix), m.array(layer.bias)
    lengths = (values * values).sum(1)[:, None] + (weight * weight).sum(1)[None, :]
    far = m.square_roots(lengths + m.product(values, weight) * -2.0)
    best = (bias - far).max(1)[:, None]
    return best, m.enlarge(far, 1).max(1)[:, None] + abs(bias).max(0)


def _binary64(layer: Layer, values: Floats, m: Any) -> tuple[Floats, Floats]:
    """Distances by one matrix product, the decisive ones again.

    The product's error bound says which centres may attain the maximum; only those are evaluated
    as written, without cancellation, so the value errs by its own roundings alone.
    """
    weight, bias = m.array(layer.matrix), m.array(layer.bias)
    # About the centres' mean, or points far from the origin would lose every digit.
    middle = weight.mean(axis=0)
    x, w = values - middle, weight - middle
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    radii = np.sqrt(np.einsum("ij,ij->i", w, w))
    reach = lengths[:, None] + radii
    # Roundings of the shift, of three sums of n products and of their combination.
    lost = gamma(2 * layer.inputs + 32, UNIT) * reach * reach + 2.0**-900
    squares = lengths[:, None] ** 2 + radii**2 - 2 * (x @ w.T)
    least = bias - np.sqrt(np.maximum(squares + lost, 0)) * (1 + 8 * UNIT)
    most = bias - np.sqrt(np.maximum(squares - lost, 0)) * (1 - 8 * UNIT)
    slack = 8 * UNIT * (np.abs(bias).max() + np.abs(least).max(axis=1, keepdims=True))
    # Written so that NaN keeps every centre.
    points, centres = np.nonzero(~(most + slack < least.max(axis=1, keepdims=True) - slack))
    best = np.full(len(values), -np.inf)
    step = max(1, _PAIRS // layer.inputs)
    for start in range(0, len(points), step):
        rows, columns = points[start : start + step], centres[start : start + step]
        differences = values[rows] - weight[columns]
        found = np.sqrt(np.einsum("ij,ij->i", differences, differences))
        np.maximum.at(best, rows, bias[columns] - found)
    # Elsewhere any centre may come into play, so every one counts for the other arithmetic.
    farthest = np.sqrt(np.maximum(squares + lost, 0)).max(axis=1)
    above = np.asarray(inflate(np.abs(bias).max() + farthest, 8))
    return best[:, None], above[:, None]
