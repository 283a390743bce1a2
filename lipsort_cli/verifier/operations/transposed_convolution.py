"""``transposed_convolution``: the transpose of a convolution without bias, + b_o."""

from ._base import Any, Entry, Invalid
from ._convolutions import Kernel


class TransposedConvolution(Kernel):
    """Of the kernel ``[in, out / groups, kh, kw]`` with zero padding."""

    node = "ConvTranspose"

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A kernel that makes at least one pixel."""
        found = self.geometry(entry, 0)
        sizes = []
        for size, kernel in zip(entry.shape[1:], found["weight"].shape[2:], strict=True):
            reach = found["dilation"] * (kernel - 1) + 1
            sizes.append((size - 1) * found["stride"] - 2 * found["padding"] + reach)
            if sizes[-1] < 1:
                reason = f"the kernel does not fit {size} pixels with padding {found['padding']}"
                raise Invalid(entry.at, reason)
        out = found["weight"].shape[1] * found["groups"]
        return {**found, "out_shape": (out, *sizes), "bias": entry.bias(out)}
