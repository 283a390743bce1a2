"""``transposed_convolution``: the transpose of a convolution without bias, + b_o."""

from .convolution import Convolution


class TransposedConvolution(Convolution):
    fields = {key: check for key, check in Convolution.fields.items() if key != "padding_mode"}
    adjoint = True

    def outputs(self, size: int, stride: int, padding: int, reach: int) -> int:
        return (size - 1) * stride - 2 * padding + reach
