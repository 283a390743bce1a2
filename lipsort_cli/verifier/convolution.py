"""Convolutions in binary64: as matrix products with patches, and as blocks of a stride-1 operator.

``y_o(u) = sum_{i,t} K_oi(t) x_i(s u + d t - p)``, zero or circular padding ``p``; groups are
independent. Folding the stride into channels, ``d t = s q + r`` with ``0 <= r < s``, gives blocks
``B_q [out, in s^2]`` with ``y(u) = sum_q B_q z(u + q)``, ``z_(i,r)(v) = x_i(s v + r - p)``: an
operator of stride 1 on the plane. Zero padding is a compression of it, circular padding its
restriction to periodic inputs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.rounding import Floats, inflate

_PATCHES = 1 << 21
"""Components of patches formed at a time (16 MiB)."""


def convolve(layer: Layer, values: Floats, kernel: Floats) -> Floats:
    """The operator of ``layer`` with ``kernel`` for its weight, no bias: ``[N, n] -> [N, m]``."""
    images = values.reshape(len(values), *layer.shape)
    if layer.op == "transposed_convolution":
        images, kernel = _adjoint(layer, images, kernel)
        stride = 1
    else:
        stride = layer.stride
        if layer.padding:
            around = ((0, 0), (0, 0), (layer.padding,) * 2, (layer.padding,) * 2)
            images = np.pad(images, around, mode="wrap" if layer.circular else "constant")
    out = np.empty((len(values), layer.width))
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
            made = kernel[rows].reshape(width, terms) @ patches
            size = width * math.prod(layer.out_shape[1:])
            out[part, group * size : (group + 1) * size] = made.reshape(size, -1).T
    return out


def _patches(layer: Layer, points: Floats, kernel: tuple[int, ...], stride: int) -> Floats:
    """What each tap of the kernel meets: ``[C, H, W, N]`` to ``[C, kh, kw, H', W', N]``."""
    height, width = layer.out_shape[1:]
    found = np.empty((len(points), *kernel, height, width, points.shape[3]))
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * layer.dilation, column * layer.dilation
            found[:, row, column] = points[
                :,
                top : top + stride * (height - 1) + 1 : stride,
                left : left + stride * (width - 1) + 1 : stride,
            ]
    return found


def _adjoint(layer: Layer, images: Floats, kernel: Floats) -> tuple[Floats, Floats]:
    """Input with zeros in between and around, and the kernel whose convolution is the transpose."""
    count, channels, height, width = images.shape
    stride, groups = layer.stride, layer.groups
    before = [layer.dilation * (size - 1) - layer.padding for size in kernel.shape[2:]]
    spread = [(size - 1) * stride + 1 for size in (height, width)]
    padded = np.zeros(
        (count, channels, *(s + 2 * max(b, 0) for s, b in zip(spread, before, strict=True)))
    )
    top, left = (max(item, 0) for item in before)
    padded[:, :, top : top + spread[0] : stride, left : left + spread[1] : stride] = images
    cut = [max(-item, 0) for item in before]
    padded = padded[:, :, cut[0] : padded.shape[2] - cut[0], cut[1] : padded.shape[3] - cut[1]]
    inner = kernel.reshape(groups, channels // groups, *kernel.shape[1:])
    flipped = inner[..., ::-1, ::-1].swapaxes(1, 2)
    return padded, np.ascontiguousarray(flipped).reshape(-1, *flipped.shape[2:])


def terms_summed(layer: Layer) -> int:
    """Products that one output of the layer adds up, at most."""
    assert layer.weight is not None
    kernel = layer.weight.shape
    if layer.op == "transposed_convolution":
        return kernel[0] // layer.groups * kernel[2] * kernel[3]
    return kernel[1] * kernel[2] * kernel[3]


def absolute_sums(layer: Layer, absolute: Floats) -> tuple[float, float]:
    """Largest row and column sums of the operator with non-negative ``absolute``, rounded up."""
    out, wide, height, width = absolute.shape
    rows = absolute.reshape(out, -1).sum(axis=1)
    stride, dilation = layer.stride, layer.dilation
    down = dilation * np.arange(height) % stride
    across = dilation * np.arange(width) % stride
    # A component of the input meets only the taps of its own residue modulo the stride.
    grouped = absolute.reshape(layer.groups, out // layer.groups, wide, height, width).sum(axis=1)
    columns = 0.0
    for first in np.unique(down):
        for second in np.unique(across):
            chosen = grouped[:, :, down == first][..., across == second]
            columns = max(columns, float(chosen.sum(axis=(2, 3)).max()))
    count = absolute.size
    sums = float(inflate(float(rows.max()), count)), float(inflate(columns, count))
    return sums[::-1] if layer.op == "transposed_convolution" else sums


def reduced(layer: Layer) -> tuple[int, int]:
    """Stride and dilation of an operator of the same norm: common factors taken out.

    With a common factor only one sublattice of pixels is read; with stride 1 the sublattices of a
    dilated convolution do not mix, and each one is the convolution without dilation.
    """
    common = math.gcd(layer.stride, layer.dilation)
    stride, dilation = layer.stride // common, layer.dilation // common
    return stride, 1 if stride == 1 else dilation


def folded_size(layer: Layer) -> int:
    """Components of all blocks of one group."""
    assert layer.weight is not None
    stride, dilation = reduced(layer)
    out, wide, *kernel = layer.weight.shape
    sizes = [(dilation * (size - 1) // stride + 1) for size in kernel]
    return out // layer.groups * wide * stride * stride * math.prod(sizes)


def folded(layer: Layer, kernel: Floats) -> Floats:
    """Blocks ``[qh, qw, out, in s^2]`` of one group's ``kernel [out, in, kh, kw]``; exact."""
    stride, dilation = reduced(layer)
    out, wide, height, width = kernel.shape
    sizes = [(dilation * (size - 1) // stride + 1) for size in (height, width)]
    blocks = np.zeros((*sizes, out, wide, stride, stride))
    for row in range(height):
        for column in range(width):
            (q, r), (p, c) = divmod(dilation * row, stride), divmod(dilation * column, stride)
            blocks[q, p, :, :, r, c] = kernel[:, :, row, column]
    return blocks.reshape(*sizes, out, wide * stride * stride)


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


def roots_of_unity(count: int) -> NDArray[np.complex128]:
    """``exp(2 pi i j / count)``, ``[count]``, each part within ``2**-53``; integers, no libm."""
    bits = 200
    one = 1 << bits
    pi = 4 * (4 * _inverse_tangent(5, one) - _inverse_tangent(239, one))
    # Taylor in fixed point: every step loses a few units of 2**-200.
    angle = 2 * pi // count
    real, imaginary, term = [0], [0], one
    for power in range(1, 80):
        (real if (power - 1) % 2 == 0 else imaginary).append(term if (power - 1) % 4 < 2 else -term)
        term = (term * angle >> bits) // power
    step = sum(real), sum(imaginary)
    x, y = one, 0
    found = np.empty(count, dtype=np.complex128)
    for index in range(count):
        found[index] = complex(x / one, y / one)
        x, y = (x * step[0] - y * step[1]) >> bits, (x * step[1] + y * step[0]) >> bits
    return found


def _inverse_tangent(inverse: int, one: int) -> int:
    """``atan(1 / inverse) * one`` by its series, within some units."""
    total, power, sign, odd = 0, one // inverse, 1, 1
    while power:
        total += sign * (power // odd)
        power //= inverse * inverse
        sign, odd = -sign, odd + 2
    return total
