"""``select``: y_i = x_(w_i), or 0 where w_i is -1; an image if ``shape`` says so.

What moves, repeats or leaves out numbers, and pads with zeros: an input counts as often as it is
chosen, at most m times, so the constant is sqrt(m) in L2, m in L1 and 1 in L-infinity.
"""

import math

from ._base import POSITIVE, Any, Entry, Layer, Selection, anything, listing, np


class Select(Selection):
    """Rounds nothing. The places are whole numbers from -1 to the number of inputs - 1."""

    fields = {"weight": anything, "shape": listing(POSITIVE, 1, 3)}
    methods = ("choice",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        weight, inputs, shape = entry["weight"], math.prod(entry.shape), entry["shape"]
        reason = f"expected one axis, of at most {1 << 24} inputs; found {weight.shape}"
        entry.require(weight.ndim == 1 and weight.size and inputs <= 1 << 24, "weight", reason)
        known = (weight == np.rint(weight)).all() and weight.min() >= -1 and weight.max() < inputs
        entry.require(known, "weight", f"expected whole numbers from -1 to {inputs - 1}")
        fits = len(shape) != 2 and math.prod(shape) == weight.size
        entry.require(fits, "shape", f"expected [n] or [C, H, W] of {weight.size}")
        return {"out_shape": tuple(shape)}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        chosen = layer.matrix[layer.matrix >= 0].astype(np.int64)
        most = m.upper(float(np.bincount(chosen, minlength=1).max()))
        return {"linf": most.min(m.upper(1.0)), "l2": m.root(most), "l1": most}[norm]

    def values(self, layer: Layer, values: Any) -> Any:
        zeros = np.zeros((len(values), 1), dtype=values.dtype)
        return np.concatenate([values, zeros], axis=1)[:, layer.matrix.astype(np.int64)]
