"""``order_statistic``: max { t : sum_i |w_ji| [sign(w_ji) x_i >= t] >= b_j }, w and b whole.

If no +-x_i falls by more than d, the votes for level t - d are at least those that were for t, so
no output falls by more than d: 1 in L-infinity. Piecewise each output is one of the +-x_i:
nothing is rounded.
"""

from ._base import Any, Entry, Layer, NDArray, Selection, anything, np

LARGEST_VOTES = 2.0**24  # whole numbers up to this, and their sums, are exact in binary32
_BLOCK = 32


class OrderStatistic(Selection):
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

    def values(self, layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
        """The largest level whose votes reach the threshold; float32 adds whole numbers exactly.

        Votes are added up in blocks of falling levels, then one by one in the block that decides.
        """
        votes = np.concatenate([np.maximum(layer.matrix, 0), np.maximum(-layer.matrix, 0)], axis=1)
        votes, wanted, outputs = np.ascontiguousarray(votes.T), layer.bias, np.arange(layer.width)
        literals = np.concatenate([values, -values], axis=1)
        order = np.argsort(-literals, axis=1)
        # The last level fills up the last block; the threshold is reached there at the latest.
        order = np.concatenate([order, order[:, [-1] * (-order.shape[1] % _BLOCK)]], axis=1)
        made = np.empty((len(values), layer.width), dtype=values.dtype)
        for row, falling in enumerate(order):
            blocks = votes[falling].reshape(-1, _BLOCK, layer.width)
            ahead = np.cumsum(blocks.sum(axis=1), axis=0)
            block = (ahead < wanted).sum(axis=0)
            running = np.cumsum(blocks[block, :, outputs], axis=1).T
            running += np.where(block > 0, ahead[block - 1, outputs], 0)
            first = (running < wanted).sum(axis=0)
            made[row] = literals[row, falling[block * _BLOCK + first]]
        if made.dtype.kind == "f":
            made[np.isnan(values).any(axis=1)] = np.nan
        return made
