"""``transposed_convolution``: the transpose of a convolution without bias, + b_o."""

from .convolution import Convolution, Layer


class TransposedConvolution(Convolution):
    fields = {key: check for key, check in Convolution.fields.items() if key != "padding_mode"}
    adjoint = True

    def outputs(self, size: int, stride: int, padding: int, reach: int) -> int:
        return (size - 1) * stride - 2 * padding + reach

    def terms(self, layer: Layer) -> int:
        used = (layer.matrix != 0).sum(axis=(2, 3)).reshape(layer.groups, -1, layer.matrix.shape[1])
        return int(used.sum(axis=1).max())
