"""Convolutions: as matrix products with patches, and as blocks of a stride-1 operator.

``y_o(u) = sum_{i,t} K_oi(t) x_i(s u + d t - p)``, zero or circular padding ``p``; groups are
independent. Folding the stride into channels, ``d t = s q + r`` with ``0 <= r < s``, gives blocks
``B_q [out, in s^2]`` with ``y(u) = sum_q B_q z(u + q)``, ``z_(i,r)(v) = x_i(s v + r - p)``: an
operator of stride 1 on the plane. Zero padding is a compression of it, circular padding its
restriction to periodic inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layer import Layer

Numbers = NDArray[Any]
"""Floats, or integers of one grid."""

_PATCHES = 1 << 21
"""Components of patches formed at a time (16 MiB)."""


def convolve(
    layer: Layer,
    values: Numbers,
    kernel: Numbers,
    multiply: Callable[[Numbers, Numbers], Numbers] = np.matmul,
) -> Numbers:
    """The operator of ``layer`` with ``kernel`` for its weight, no bias: ``[N, n] -> [N, m]``."""
    images = values.reshape(len(values), *layer.shape)
    if layer.op == "transposed_convolution":
        images, kernel = _adjoint(layer, images, kernel)
        stride = 1
    else:
        stride = layer.stride
        if layer.padding and layer.circular:
            images = np.pad(images, ((0, 0), (0, 0), *[(layer.padding,) * 2] * 2), mode="wrap")
        elif layer.padding:
            sides = [size + 2 * layer.padding for size in layer.shape[1:]]
            padded = np.zeros((*images.shape[:2], *sides), dtype=images.dtype)
            inside = slice(layer.padding, -layer.padding)
            padded[:, :, inside, inside] = images
            images = padded
    out = np.empty((len(values), layer.width), dtype=values.dtype)
    wide, width = kernel.shape[1], kernel.shape[0] // layer.groups
    terms = wide * kernel.shape[2] * kernel.shape[3]
    step = max(1, _PATCHES // (terms * math.prod(layer.out_shape[1:])))
    for start in range(0, len(values), step):
        part = slice(start, start + step)
        # Points last: copies of whole runs, and one large product a group.
        points = np.ascontiguousarray(images[part].transpose(1, 2, 3, 0))
        for group in range(layer.groups):
            rows = slice(group * width, (group + 1) * width)
            chosen = points[group * wide : (group + 1) * wide]
            patches = _patches(layer, chosen, kernel.shape[2:], stride).reshape(terms, -1)
            made = multiply(kernel[rows].reshape(width, terms), patches)
            size = width * math.prod(layer.out_shape[1:])
            out[part, group * size : (group + 1) * size] = made.reshape(size, -1).T
    return out


def _patches(layer: Layer, points: Numbers, kernel: tuple[int, ...], stride: int) -> Numbers:
    """What each tap of the kernel meets: ``[C, H, W, N]`` to ``[C, kh, kw, H', W', N]``."""
    height, width = layer.out_shape[1:]
    found = np.empty((len(points), *kernel, height, width, points.shape[3]), dtype=points.dtype)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * layer.dilation, column * layer.dilation
            found[:, row, column] = points[
                :,
                top : top + stride * (height - 1) + 1 : stride,
                left : left + stride * (width - 1) + 1 : stride,
            ]
    return found


def _adjoint(layer: Layer, images: Numbers, kernel: Numbers) -> tuple[Numbers, Numbers]:
    """Input with zeros in between and around, and the kernel whose convolution is the transpose."""
    count, channels, height, width = images.shape
    stride, groups = layer.stride, layer.groups
    before = [layer.dilation * (size - 1) - layer.padding for size in kernel.shape[2:]]
    spread = [(size - 1) * stride + 1 for size in (height, width)]
    sides = (s + 2 * max(b, 0) for s, b in zip(spread, before, strict=True))
    padded = np.zeros((count, channels, *sides), dtype=images.dtype)
    top, left = (max(item, 0) for item in before)
    padded[:, :, top : top + spread[0] : stride, left : left + spread[1] : stride] = images
    cut = [max(-item, 0) for item in before]
    padded = padded[:, :, cut[0] : padded.shape[2] - cut[0], cut[1] : padded.shape[3] - cut[1]]
    inner = kernel.reshape(groups, channels // groups, *kernel.shape[1:])
    flipped = inner[..., ::-1, ::-1].swapaxes(1, 2)
    return padded, np.ascontiguousarray(flipped).reshape(-1, *flipped.shape[2:])


def padded_size(layer: Layer) -> float:
    """Components of the image with what is put around and between its pixels."""
    assert layer.weight is not None
    total = float(layer.shape[0])
    for size, kernel in zip(layer.shape[1:], layer.weight.shape[2:], strict=True):
        if layer.op == "transposed_convolution":
            around = max(layer.dilation * (kernel - 1) - layer.padding, 0)
            total *= (size - 1) * layer.stride + 1 + 2 * around
        else:
            total *= size + 2 * layer.padding
    return total


def terms_summed(layer: Layer) -> int:
    """Products that one output of the layer adds up, at most."""
    assert layer.weight is not None
    kernel = layer.weight.shape
    if layer.op == "transposed_convolution":
        return kernel[0] // layer.groups * kernel[2] * kernel[3]
    return kernel[1] * kernel[2] * kernel[3]


def absolute_sums(layer: Layer, m: Any, absolute: Any) -> tuple[Any, Any]:
    """Largest row and column sums of the operator with non-negative ``absolute``, as bounds."""
    out, wide, height, width = absolute.shape
    rows = m.largest_sum(absolute.reshape(out, -1), 1)
    stride, dilation, columns = layer.stride, layer.dilation, m.upper(0.0)
    down = dilation * np.arange(height) % stride
    across = dilation * np.arange(width) % stride
    # A component of the input meets only the taps of its own residue modulo the stride.
    for first in np.unique(down):
        for second in np.unique(across):

            def grouped(array: Numbers, first: int = first, second: int = second) -> Numbers:
                chosen = array[:, :, down == first][..., across == second]
                parts = chosen.reshape(layer.groups, out // layer.groups, wide, -1)
                return parts.transpose(0, 2, 1, 3).reshape(layer.groups * wide, -1)

            columns = columns.max(m.largest_sum(m.select(grouped, absolute), 1))
    return (columns, rows) if layer.op == "transposed_convolution" else (rows, columns)


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
    assert layer.weight is not None
    stride, dilation = reduced(layer)
    out, wide, *kernel = layer.weight.shape
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
    assert layer.weight is not None
    stride, dilation = reduced(layer)
    images = layer.out_shape if layer.op == "convolution" else layer.shape
    if layer.circular:
        return layer.shape[1] // layer.stride, layer.shape[2] // layer.stride
    found = []
    for pixels, size in zip(images[1:], layer.weight.shape[2:], strict=True):
        if stride == 1:
            pixels = -(-pixels // (layer.dilation // math.gcd(layer.stride, layer.dilation)))
        found.append(pixels + dilation * (size - 1) // stride)
    return found[0], found[1]


BITS = 200
"""Fractional bits of roots of unity as integers; they are off by less than 2^-180."""


def circle(count: int) -> list[tuple[int, int]]:
    """``exp(2 pi i j / count)`` times ``2 ** BITS``, for every j; integers, no libm."""
    one = 1 << BITS
    pi = 4 * (4 * _inverse_tangent(5, one) - _inverse_tangent(239, one))
    # Taylor in fixed point: every step loses a few units of the last place.
    angle = 2 * pi // count
    real, imaginary, term = [0], [0], one
    for power in range(1, 80):
        (real if (power - 1) % 2 == 0 else imaginary).append(term if (power - 1) % 4 < 2 else -term)
        term = (term * angle >> BITS) // power
    step = sum(real), sum(imaginary)
    x, y = one, 0
    found = []
    for _ in range(count):
        found.append((x, y))
        x, y = (x * step[0] - y * step[1]) >> BITS, (x * step[1] + y * step[0]) >> BITS
    return found


def _inverse_tangent(inverse: int, one: int) -> int:
    """``atan(1 / inverse) * one`` by its series, within some units."""
    total, power, sign, odd = 0, one // inverse, 1, 1
    while power:
        total += sign * (power // odd)
        power //= inverse * inverse
        sign, odd = -sign, odd + 2
    return total
