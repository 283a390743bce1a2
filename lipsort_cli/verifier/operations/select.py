"""``select``: y_i = x_(w_i), or 0 where w_i is -1; an image if ``shape`` says so.

What moves, repeats or leaves out numbers, and pads with zeros: an input counts as often as it is
chosen, at most m times, so the constant is sqrt(m) in L2, m in L1 and 1 in L-infinity.
"""

import math

from ._base import Any, Builder, Entry, Invalid, Layer, Selection, np


class Select(Selection):
    """Rounds nothing. The places are whole numbers from -1 to the number of inputs - 1."""

    fields = ("weight", "shape")
    methods = ("choice",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        weight, inputs, shape = entry.weight(), math.prod(entry.shape), entry.fields["shape"]
        if weight.ndim != 1 or not weight.size or inputs > 1 << 24:
            reason = f"expected one axis, of at most {1 << 24} inputs; found {weight.shape}"
            raise Invalid(f"{entry.at}.weight", reason)
        if (weight != np.rint(weight)).any() or weight.min() < -1 or weight.max() >= inputs:
            raise Invalid(f"{entry.at}.weight", f"expected whole numbers from -1 to {inputs - 1}")
        if (
            not isinstance(shape, list)
            or len(shape) not in (1, 3)
            or not all(type(size) is int and size > 0 for size in shape)
            or math.prod(shape) != weight.size
        ):
            raise Invalid(f"{entry.at}.shape", f"expected [n] or [C, H, W] of {weight.size}")
        return {"weight": weight, "out_shape": tuple(shape)}

    def describe(self, layer: Layer) -> dict[str, Any]:
        return {"weight": f"{layer.name}.weight", "shape": list(layer.out_shape)}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        places = self.places(layer)
        most = m.upper(float(np.bincount(places[places >= 0], minlength=1).max()))
        return {"linf": most.min(m.upper(1.0)), "l2": m.root(most), "l1": most}[norm]

    def places(self, layer: Layer) -> Any:
        """As integers."""
        assert layer.weight is not None
        return layer.weight.astype(np.int64)

    def values(self, layer: Layer, values: Any) -> Any:
        zeros = np.zeros((len(values), 1), dtype=values.dtype)
        return np.concatenate([values, zeros], axis=1)[:, self.places(layer)]

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Flat, a zero behind, Gather, the new shape."""
        places = self.places(layer)
        builder.reshape(layer, "flat", [0, layer.inputs])
        builder.node("Pad", builder.integers(layer, "pads", [0, 0, 0, 1]))
        chosen = np.where(places < 0, layer.inputs, places)
        builder.node("Gather", builder.constant(layer, "places", chosen), {"axis": 1})
        builder.reshape(layer, "shape", [0, *layer.out_shape], output)
