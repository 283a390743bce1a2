"""``order_statistic``: max { t : sum_i |w_ji| [sign(w_ji) x_i >= t] >= b_j }, w and b whole.

If no +-x_i falls by more than d, the votes for level t - d are at least those that were for t, so
no output falls by more than d: 1 in L-infinity. Piecewise each output is one of the +-x_i.
"""

from ._base import Any, Entry, Layer, NDArray, Selection, anything, np

LARGEST_VOTES = 2.0**24
"""Whole numbers up to this, and their sums, are exact in binary32."""
_BLOCK = 32
_PIECE = 1 << 21


class OrderStatistic(Selection):
    """Rounds nothing: votes are whole numbers, and the value is chosen."""

    fields = {"weight": anything, "bias": anything}
    methods = ("choice",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        """Whole numbers whose sums no arithmetic rounds, and thresholds that some level reaches."""
        found, weight, bias = entry.matrix(), entry["weight"], entry["bias"]
        total = np.abs(weight).sum(axis=1, dtype=np.float64)
        whole = (weight == np.rint(weight)).all() and (total <= LARGEST_VOTES).all()
        reason = "expected whole numbers, a row's sizes at most 2^24 in sum"
        entry.require(whole, "weight", reason)
        whole = bias is not None and (bias == np.rint(bias)).all()
        reason = "expected whole numbers from 1 to the sum of a row's sizes"
        entry.require(whole and (bias >= 1).all() and (bias <= total).all(), "bias", reason)
        return found

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        # One input may be what all outputs choose.
        return m.upper(1.0) if norm == "linf" else m.ones(layer.width, norm)

    def work(self, layer: Layer, exact: bool) -> tuple[float, float]:
        literals, width = 2.0 * layer.inputs, layer.width
        ahead = literals * (literals / _BLOCK + 1) * width
        return ahead / 50 if exact else ahead / 1.4, 40.0 * literals + 12.0 * _BLOCK * width

    def values(self, layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
        """The largest level whose votes reach the threshold; float32 adds whole numbers exactly."""
        assert layer.bias is not None
        weight = layer.matrix
        votes = np.concatenate([np.maximum(weight, 0), np.maximum(-weight, 0)], axis=1)
        made = np.empty((len(values), layer.width), dtype=values.dtype)
        blocks = votes.shape[1] // _BLOCK + 1
        step = max(1, _PIECE // (max(layer.width * _BLOCK, blocks * votes.shape[1])))
        for start in range(0, len(values), step):
            rows = slice(start, start + step)
            made[rows] = _levels(values[rows], votes, layer.bias)
        return made


def _levels(
    values: NDArray[Any], votes: NDArray[np.float32], wanted: NDArray[np.float32]
) -> NDArray[Any]:
    """Votes added up in blocks of falling levels, then one by one in the block that decides."""
    literals = np.concatenate([values, -values], axis=1)
    points, count = literals.shape
    order = np.argsort(-literals, axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(count), order.shape), axis=1)
    ends = np.arange(0, count, _BLOCK)
    # before[n, k, j]: what the levels ahead of block k add up to; one product for all points.
    ahead = (rank[:, None] < ends[:, None]).astype(np.float32).reshape(-1, count)
    before = (ahead @ votes.T).reshape(points, len(ends), -1)
    block = (before < wanted).sum(axis=1) - 1
    # The last level fills up the last block; the threshold is reached there at the latest.
    filled = np.concatenate([order, np.repeat(order[:, -1:], -count % _BLOCK, axis=1)], axis=1)
    blocks, row = filled.reshape(points, -1, _BLOCK), np.arange(points)[:, None]
    running = votes.reshape(-1).take(blocks[row, block] + np.arange(len(votes))[:, None] * count)
    np.cumsum(running, axis=2, out=running)
    running += np.take_along_axis(before, block[:, None], axis=1).transpose(0, 2, 1)
    first = np.minimum((running < wanted[:, None]).sum(axis=2), _BLOCK - 1)
    found = np.take_along_axis(literals, blocks[row, block, first], axis=1)
    if found.dtype.kind == "f":
        found[np.isnan(values).any(axis=1)] = np.nan
    return found
