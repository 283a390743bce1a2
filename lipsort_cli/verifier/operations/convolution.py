"""``convolution``: y_o(u) = sum K_oi(t) x_i(s u + d t - p) + b_o, zero or circular padding p."""

from functools import partial

from ..linear import SUMS
from ._base import NATURAL, POSITIVE, Any, Entry, Layer, LayerBound, anything
from ._kernels import Folded, absolute_sums, convolve
from .dense import Dense


class Convolution(Dense):
    """A linear operator on images, given by its kernel ``[out, in / groups, kh, kw]``."""

    fields = {
        **Dense.fields,
        **dict.fromkeys(("stride", "dilation", "groups"), POSITIVE),
        "padding": NATURAL,
        "padding_mode": anything,
    }
    methods = ("residual", "rows", "frequencies", "absolute sums", "zero", *SUMS.values())
    adjoint = False  # whether it is the transpose of the convolution with its kernel

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A kernel that fits the padded image; circular padding without repeated outputs."""
        weight, groups, channels = entry["weight"], entry["groups"], entry.image()[0]
        reason = f"expected float32 with 4 axes, found {weight.shape}"
        entry.require(weight.ndim == 4 and weight.size, "weight", reason)
        out, inputs = weight.shape[0], weight.shape[1] * groups
        fits = out % groups == 0
        out, inputs = (inputs, out) if self.adjoint else (out, inputs)
        reason = f"found {list(weight.shape)} for {channels} channels in {groups} groups"
        entry.require(fits and inputs == channels, "weight", reason)
        mode, sizes = entry.fields.get("padding_mode", "zeros"), []
        entry.supported(mode in ("zeros", "circular"), "padding_mode", f"{mode!r:.40}")
        stride, padding = entry["stride"], entry["padding"]
        for size, kernel in zip(entry.shape[1:], weight.shape[2:], strict=True):
            reach = entry["dilation"] * (kernel - 1) + 1
            sizes.append(self.outputs(size, stride, padding, reach))
            reason = f"the kernel does not fit {size} pixels with padding {padding}"
            entry.require(sizes[-1] >= 1, "", reason)
            once = size % stride == 0 and sizes[-1] <= size // stride and padding <= size
            reason = (
                f"circular padding {padding} of {size} pixels with stride {stride}: an output "
                "would occur twice, or not at all"
            )
            entry.supported(once or mode == "zeros", "", reason)
        return {"circular": mode == "circular", **entry.made(out, *sizes)}

    def outputs(self, size: int, stride: int, padding: int, reach: int) -> int:
        """How many there are along an axis of ``size``, for a kernel that spans ``reach``."""
        return (size + 2 * padding - reach) // stride + 1

    def product(self, layer: Layer, m: Any, values: Any, weight: Any) -> Any:
        return m.bilinear(partial(convolve, layer, multiply=m.multiply), values, weight)

    def sums(self, layer: Layer, m: Any, absolute: Any) -> tuple[Any, Any]:
        return absolute_sums(layer, m, absolute)

    def spectral(self, layer: Layer, m: Any, claim: LayerBound) -> Any:
        if claim.method == "absolute sums":
            rows, columns = absolute_sums(layer, m, abs(m.array(layer.matrix)))
            return m.root(rows * columns)
        kernel = Folded.of(layer, m)
        if claim.method == "frequencies":
            square = kernel.frequencies(claim.witness)
        else:
            square = kernel.spatial(claim.witness)[claim.method == "rows"]
        return m.root(square) * 2.0**kernel.exponent
