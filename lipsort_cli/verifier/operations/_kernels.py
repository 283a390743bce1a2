"""Convolutions: as matrix products with patches, and as blocks of a stride-1 operator.

``y_o(u) = sum_{i,t} K_oi(t) x_i(s u + d t - p)``, zero or circular padding ``p``; groups are
independent. Folding the stride into channels, ``d t = s q + r`` with ``0 <= r < s``, gives blocks
``B_q [out, in s^2]`` with ``y(u) = sum_q B_q z(u + q)``, ``z_(i,r)(v) = x_i(s v + r - p)``: an
operator of stride 1 on the plane. Zero padding is a compression of it, circular padding its
restriction to periodic inputs.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..operation import Layer

Numbers = NDArray[Any]
"""Floats, or integers of one grid."""

_PATCHES = 1 << 21
"""Components of patches formed at a time (16 MiB)."""


def is_adjoint(layer: Layer) -> bool:
    """Whether it is the transpose of the convolution with its kernel."""
    return layer.op == "transposed_convolution"


def _met(layer: Layer, axis: int) -> NDArray[np.int64]:
    """``[taps, outputs]``: the place on an ``axis`` of what each tap meets; -1 for nothing."""
    size, outputs = layer.shape[axis], np.arange(layer.out_shape[axis])
    taps = layer.dilation * np.arange(layer.matrix.shape[axis + 1])[:, None]
    if is_adjoint(layer):
        # What the convolution adds to this output: u = s v + d t - p.
        places, rest = np.divmod(outputs + layer.padding - taps, layer.stride)
        places = np.where(rest == 0, places, -1)
    else:
        places = layer.stride * outputs + taps - layer.padding
        places = places % size if layer.circular else places
    return np.where((places >= 0) & (places < size), places, -1)


def convolve(
    layer: Layer,
    values: Numbers,
    kernel: Numbers,
    multiply: Callable[[Numbers, Numbers], Numbers] = np.matmul,
) -> Numbers:
    """The operator of ``layer`` with ``kernel`` for its weight, no bias: ``[N, n] -> [N, m]``."""
    groups, channels, pixels = layer.groups, layer.shape[0], math.prod(layer.shape[1:])
    down, across = _met(layer, 1)[:, None, :, None], _met(layer, 2)[:, None]
    # What meets nothing meets a zero that is put behind the image.
    places = np.where((down < 0) | (across < 0), pixels, down * layer.shape[2] + across)
    matrices = kernel.reshape(groups, -1, *kernel.shape[1:])
    matrices = matrices.swapaxes(1, 2) if is_adjoint(layer) else matrices
    width, terms = matrices.shape[1], terms_summed(layer)
    matrices = np.ascontiguousarray(matrices).reshape(groups, width, terms)
    out = np.empty((len(values), layer.width), dtype=values.dtype)
    step = max(1, _PATCHES // (terms * math.prod(layer.out_shape[1:])))
    for start in range(0, len(values), step):
        part = values[start : start + step].reshape(-1, channels, pixels)
        # Points last: copies of whole runs, and one large product a group.
        points = np.zeros((channels, pixels + 1, len(part)), dtype=values.dtype)
        points[:, :pixels] = part.transpose(1, 2, 0)
        made = [
            multiply(matrix, images.take(places, axis=1).reshape(terms, -1))
            for matrix, images in zip(matrices, np.split(points, groups), strict=True)
        ]
        out[start : start + step] = np.concatenate(made).reshape(layer.width, -1).T
    return out


def terms_summed(layer: Layer) -> int:
    """Products that one output of the layer adds up, at most."""
    first, second, height, width = layer.matrix.shape
    return (first // layer.groups if is_adjoint(layer) else second) * height * width


def absolute_sums(layer: Layer, m: Any, absolute: Any) -> tuple[Any, Any]:
    """Largest row and column sums of the operator with non-negative ``absolute``, as bounds."""
    out, wide, *kernel = absolute.shape
    rows, columns = m.largest_sum(absolute.reshape(out, -1), 1), m.upper(0.0)
    # A component of the input meets only the taps of its own residue modulo the stride.
    down, across = (layer.dilation * np.arange(size) % layer.stride for size in kernel)
    for first in np.unique(down):
        for second in np.unique(across):

            def grouped(array: Numbers, first: int = first, second: int = second) -> Numbers:
                chosen = array[:, :, down == first][..., across == second]
                parts = chosen.reshape(layer.groups, out // layer.groups, wide, -1)
                return parts.transpose(0, 2, 1, 3).reshape(layer.groups * wide, -1)

            columns = columns.max(m.largest_sum(m.select(grouped, absolute), 1))
    return (columns, rows) if is_adjoint(layer) else (rows, columns)


def reduced(layer: Layer) -> tuple[int, int]:
    """Stride and dilation of an operator of the same norm: common factors taken out.

    With a common factor only one sublattice of pixels is read; with stride 1 the sublattices of a
    dilated convolution do not mix, and each one is the convolution without dilation.
    """
    common = math.gcd(layer.stride, layer.dilation)
    stride, dilation = layer.stride // common, layer.dilation // common
    return stride, 1 if stride == 1 else dilation


def folded_shape(layer: Layer) -> tuple[int, int, int, int]:
    """Of the blocks of one group: ``[qh, qw, out, in s^2]``."""
    stride, dilation = reduced(layer)
    out, wide, *kernel = layer.matrix.shape
    height, width = (dilation * (size - 1) // stride + 1 for size in kernel)
    return height, width, out // layer.groups, wide * stride * stride


def folded(layer: Layer, kernel: Numbers) -> Numbers:
    """The blocks of one group's ``kernel [out, in, kh, kw]``; exact."""
    stride, dilation = reduced(layer)
    out, wide, height, width = kernel.shape
    shape = folded_shape(layer)
    blocks = np.zeros((*shape[:2], out, wide, stride, stride), dtype=kernel.dtype)
    for row in range(height):
        for column in range(width):
            (q, r), (p, c) = divmod(dilation * row, stride), divmod(dilation * column, stride)
            blocks[q, p, :, :, r, c] = kernel[:, :, row, column]
    return blocks.reshape(shape)


def periods(layer: Layer) -> tuple[int, int]:
    """Sizes of a torus, in output pixels, on which the folded operator acts without overlap.

    Its symbol at these frequencies bounds the layer: circular padding is that torus; zero padding
    is a compression of it as soon as outputs and what they read do not wrap around.
    """
    stride, dilation = reduced(layer)
    images = layer.shape if is_adjoint(layer) else layer.out_shape
    if layer.circular:
        return layer.shape[1] // layer.stride, layer.shape[2] // layer.stride
    found = []
    for pixels, size in zip(images[1:], layer.matrix.shape[2:], strict=True):
        if stride == 1:
            pixels = -(-pixels // (layer.dilation // math.gcd(layer.stride, layer.dilation)))
        found.append(pixels + dilation * (size - 1) // stride)
    return found[0], found[1]


BITS = 200
"""Fractional bits of roots of unity as integers; they are off by less than 2^-180."""
PI = (31415926535897932384626433832795028841971693993751058209749445923078164 << BITS) // 10**70


def circle(count: int) -> list[tuple[int, int]]:
    """``exp(2 pi i j / count)`` times ``2 ** BITS``, for every j; integers, no libm."""
    one = 1 << BITS
    # Taylor in fixed point: every step loses a few units of the last place.
    angle, term = 2 * PI // count, one
    real, imaginary = [0], [0]
    for power in range(1, 80):
        (real if (power - 1) % 2 == 0 else imaginary).append(term if (power - 1) % 4 < 2 else -term)
        term = (term * angle >> BITS) // power
    a, b, found = sum(real), sum(imaginary), [(one, 0)]
    for _ in range(count - 1):
        x, y = found[-1]
        found.append(((x * a - y * b) >> BITS, (x * b + y * a) >> BITS))
    return found
