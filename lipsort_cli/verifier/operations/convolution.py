"""``convolution``: y_o(u) = sum K_oi(t) x_i(s u + d t - p) + b_o, zero or circular padding p."""

from ._base import Any, Builder, Entry, Invalid, Layer, Unsupported
from ._convolutions import Kernel


class Convolution(Kernel):
    """A correlation with the kernel ``[out, in / groups, kh, kw]``."""

    fields = (*Kernel.fields, "padding_mode")
    node = "Conv"

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A kernel that fits the padded image; circular padding without repeated outputs."""
        found = self.geometry(entry, 1)
        mode = entry.fields["padding_mode"]
        if mode not in ("zeros", "circular"):
            raise Unsupported(f"{entry.at}.padding_mode", f"{mode!r:.40}")
        stride, padding, dilation = (found[key] for key in ("stride", "padding", "dilation"))
        sizes = []
        for size, kernel in zip(entry.shape[1:], found["weight"].shape[2:], strict=True):
            reach = dilation * (kernel - 1) + 1
            if size + 2 * padding < reach:
                reason = f"the kernel does not fit {size} pixels with padding {padding}"
                raise Invalid(entry.at, reason)
            made = (size + 2 * padding - reach) // stride + 1
            if mode == "circular" and (size % stride or made > size // stride or padding > size):
                raise Unsupported(
                    entry.at,
                    f"circular padding {padding} of {size} pixels with stride {stride}: an output "
                    "would occur twice, or not at all",
                )
            sizes.append(made)
        out = found["weight"].shape[0]
        shape = {"circular": mode == "circular", "out_shape": (out, *sizes)}
        return {**found, **shape, "bias": entry.bias(out)}

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        if layer.circular and layer.padding:
            reason = "pads circularly; operator set 17 of ONNX cannot"
            raise Unsupported(layer.place, f"found operation {layer.op!r}, which {reason}")
        super().onnx(layer, builder, output)
