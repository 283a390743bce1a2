"""Convolutions: as matrix products with patches, and bounds of their L2 norms (T1c).

``y_o(u) = sum_{i,t} K_oi(t) x_i(s u + d t - p)``, zero or circular padding ``p``; groups are
independent. Folding the stride into channels, ``d t = s q + r`` with ``0 <= r < s``, gives blocks
``B_q [out, in s^2]`` with ``y(u) = sum_q B_q z(u + q)``, ``z_(i,r)(v) = x_i(s v + r - p)``: an
operator ``A`` of stride 1 on the plane. Zero padding is a compression of it, circular padding its
restriction to periodic inputs. ``A A'`` has the blocks ``R_d = sum_q B_q B_(q-d)'``, so

    residual      ||A||^2 <= c^2 + ||R_0 - c^2 I||_F + sum_(d != 0) ||R_d||_F
    rows          ||A||^2 <= max_i (M v)_i / v_i,  M = sum_d |R_d|,  any v > 0   (Schur's test)
    frequencies   ||A||   <= max_f ||B(f)||_2,  B(f) = sum_q B_q e^(i f q), over the frequencies
                  of a torus; each by T1 with a floating-point Cholesky factor
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import Unsupported, require
from ..linear import frobenius, scaled, square_bound
from ..operation import Layer, of
from ..rounding import UNIT, Up, gamma, inflate, up

Numbers = NDArray[Any]  # floats, or integers of one grid
_PATCHES = 1 << 21  # components of patches formed at a time (16 MiB)
FOLDED = 1 << 26  # components of folded blocks up to which more than absolute sums is tried
LARGEST_PERIOD = 1 << 14  # pixels of an axis of the torus of frequencies
SIDE = 1536  # longest side whose products with itself are formed too


def _met(layer: Layer, axis: int) -> NDArray[np.int64]:
    """``[taps, outputs]``: the place on an ``axis`` of what each tap meets; -1 for nothing."""
    size, outputs = layer.shape[axis], np.arange(layer.out_shape[axis])
    taps = layer.dilation * np.arange(layer.matrix.shape[axis + 1])[:, None]
    if of(layer).adjoint:
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
    places = places.reshape(-1, math.prod(layer.out_shape[1:]))
    matrices = kernel.reshape(groups, -1, *kernel.shape[1:])
    matrices = matrices.swapaxes(1, 2) if of(layer).adjoint else matrices
    matrices = matrices.reshape(*matrices.shape[:2], -1)
    terms = np.union1d(0, np.flatnonzero(matrices.any(axis=(0, 1))))  # the rest adds nothing
    matrices, (inputs, taps) = matrices[:, :, terms], np.divmod(terms[:, None], len(places))
    out = np.empty((len(values), layer.width), dtype=values.dtype)
    for start in range(0, len(values), step := max(1, _PATCHES // (len(terms) * places.shape[1]))):
        part = values[start : start + step].reshape(-1, channels, pixels)
        points = np.zeros((channels, pixels + 1, len(part)), dtype=values.dtype)
        points[:, :pixels] = part.transpose(1, 2, 0)
        made = [  # points last: copies of whole runs, and one large product a group
            multiply(matrix, images[inputs, places[taps[:, 0]]].reshape(len(terms), -1))
            for matrix, images in zip(matrices, np.split(points, groups), strict=True)
        ]
        out[start : start + step] = np.concatenate(made).reshape(layer.width, -1).T
    return out


def absolute_sums(layer: Layer, m: Any, absolute: Any) -> tuple[Any, Any]:
    """Largest row and column sums of the operator with non-negative ``absolute``, as bounds."""
    out, wide, *kernel = absolute.shape
    rows, columns = m.largest_sum(absolute.reshape(out, -1), 1), m.upper(0.0)
    # A component of the input meets only the taps of its own residue modulo the stride.
    down, across = (layer.dilation * np.arange(size) % layer.stride for size in kernel)
    for first, second in itertools.product(np.unique(down), np.unique(across)):

        def grouped(array: Numbers, first: int = first, second: int = second) -> Numbers:
            chosen = array[:, :, down == first][..., across == second]
            parts = chosen.reshape(layer.groups, out // layer.groups, wide, -1)
            return parts.transpose(0, 2, 1, 3).reshape(layer.groups * wide, -1)

        columns = columns.max(m.largest_sum(m.select(grouped, absolute), 1))
    return (columns, rows) if of(layer).adjoint else (rows, columns)


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
    """The blocks of one group's ``kernel [out, in, kh, kw]``, transposed if taller than wide."""
    (stride, dilation), shape = reduced(layer), folded_shape(layer)
    blocks = np.zeros((*shape[:2], *kernel.shape[:2], stride, stride), dtype=kernel.dtype)
    for row, column in np.ndindex(kernel.shape[2:]):
        (q, r), (p, c) = divmod(dilation * row, stride), divmod(dilation * column, stride)
        blocks[q, p, :, :, r, c] = kernel[:, :, row, column]
    blocks = blocks.reshape(shape)
    return blocks.swapaxes(2, 3) if shape[2] > shape[3] else blocks


def periods(layer: Layer) -> tuple[int, int]:
    """Sizes of a torus, in output pixels, on which the folded operator acts without overlap.

    Its symbol at these frequencies bounds the layer: circular padding is that torus; zero padding
    is a compression of it as soon as outputs and what they read do not wrap around.
    """
    if layer.circular:
        return layer.shape[1] // layer.stride, layer.shape[2] // layer.stride
    stride, dilation = reduced(layer)
    apart = layer.dilation // math.gcd(layer.stride, layer.dilation) if stride == 1 else 1
    images = layer.shape if of(layer).adjoint else layer.out_shape
    height, width = (
        -(-pixels // apart) + dilation * (size - 1) // stride
        for pixels, size in zip(images[1:], layer.matrix.shape[2:], strict=True)
    )
    return height, width


BITS = 200  # fractional bits of roots of unity as integers; they are off by less than 2^-180
PI = (31415926535897932384626433832795028841971693993751058209749445923078164 << BITS) // 10**70


def circle(count: int) -> list[tuple[int, int]]:
    """``exp(2 pi i j / count)`` times ``2 ** BITS``, for every j; integers, no libm."""
    terms = [1 << BITS]  # of Taylor's series: every step loses a few units of the last place
    for power in range(1, 80):
        terms.append((terms[-1] * (2 * PI // count) >> BITS) // power)
    a, b = sum(terms[::4]) - sum(terms[2::4]), sum(terms[1::4]) - sum(terms[3::4])
    found = [(1 << BITS, 0)]
    for _ in range(count - 1):
        x, y = found[-1]
        found.append(((x * a - y * b) >> BITS, (x * b + y * a) >> BITS))
    return found


@dataclass(frozen=True)
class Folded:
    """A convolution on the machine ``m`` as operators of stride 1, ``blocks`` one a group.

    Weights are divided by ``2 ** exponent``, and are at most 1.
    """

    layer: Layer
    m: Any
    blocks: list[Any]
    exponent: int

    @classmethod
    def of(cls, layer: Layer, m: Any) -> Self:
        """Raises Unsupported beyond ``FOLDED`` components."""
        reason = f"more than {FOLDED} components of folded blocks"
        require(math.prod(folded_shape(layer)) <= FOLDED, layer.place, reason, Unsupported)
        weight, exponent = scaled(layer.matrix)
        groups = (m.array(part) for part in np.split(weight, layer.groups))
        return cls(layer, m, [m.select(partial(folded, layer), each) for each in groups], exponent)

    def spatial(self, center: float) -> list[Any]:
        """By ``residual`` with ``c^2 = center``, and by ``rows``; the better of both sides."""
        worst = [self.m.upper(0.0)] * 2
        for blocks in self.blocks:
            sides = [blocks, self.m.select(lambda array: array.swapaxes(2, 3), blocks)]
            sides = sides[: 1 + (blocks.shape[3] <= SIDE)]
            squares = zip(*(_one_side(side, center, self.m) for side in sides), strict=True)
            better = (reduce(lambda one, other: one.min(other), each) for each in squares)
            worst = [one.max(other) for one, other in zip(worst, better, strict=True)]
        return worst

    def frequencies(self, center: float) -> Any:
        """With ``c^2 = center`` for all; infinite where a factorisation fails."""
        m, found, longest = self.m, self.m.upper(0.0), max(periods(self.layer))
        reason = f"a torus of {longest} pixels, more than {LARGEST_PERIOD}"
        require(longest <= LARGEST_PERIOD, self.layer.place, reason, Unsupported)
        for blocks in self.blocks:
            worst = m.upper(0.0)
            for symbol in self.symbols(blocks):
                square = square_bound(symbol, center, m, factorize=True)
                if not square < m.upper(math.inf):  # NaN too: a maximum would hide it
                    return m.upper(math.inf)
                worst = worst.max(square)
            sums = m.select(lambda array: array.sum(axis=(0, 1)).reshape(-1), abs(blocks))
            # Roots are rounded to binary64, sums of products with them too; twice, for both parts.
            taps = math.prod(blocks.shape[:2])
            lost = m.norm(m.enlarge(sums, taps), "l2") * (2 * gamma(4 * taps + 32, UNIT))
            whole = m.root(worst) + lost
            found = found.max(whole * whole)
        return found

    def symbols(self, blocks: Any) -> Iterator[Any]:
        """``B(f)`` for half of the torus (conjugate frequencies have the same norm), as real
        matrices: ``[[Re, -Im], [Im, Re]]`` has the norm of ``Re + i Im``.
        """
        m, (first, second) = self.m, periods(self.layer)
        down, across, (height, width) = circle(first), circle(second), blocks.shape[:2]

        def matrix(array: NDArray[Any], roots: NDArray[Any]) -> NDArray[Any]:
            real, imaginary = (np.tensordot(part, array, axes=2) for part in roots)
            return np.block([[real, -imaginary], [imaginary, real]])

        for f, g in np.ndindex(first // 2 + 1, second):
            roots = np.empty((2, height, width), dtype=object)
            for q, p in np.ndindex(height, width):
                (a, b), (c, d) = down[f * q % first], across[g * p % second]
                roots[:, q, p] = (a * c - b * d) >> BITS, (a * d + b * c) >> BITS
            yield m.bilinear(matrix, blocks, m.array(roots / (1 << BITS)))


def _one_side(blocks: Any, one: float, m: Any) -> tuple[Any, Any]:
    height, width, size, inner = blocks.shape
    identity = m.array(np.eye(size) * one)
    residual, sums = m.upper(one), m.array(np.zeros((size, size)))
    for down in range(height):
        for across in range(-width + 1 if down else 0, width):
            first = m.select(partial(_window, down=down, across=across), blocks)
            second = m.select(partial(_window, down=-down, across=-across), blocks)
            product, lost = m.product(first, second), m.lost_in_product(first, second)
            sums = sums + abs(product)
            if down == across == 0:
                product = product - identity
                lost = lost + (frobenius(m, product) + frobenius(m, identity)) * (4 * m.unit)
                residual = residual + frobenius(m, product) + lost
            else:
                sums = sums + m.select(np.transpose, abs(product))
                residual = residual + (frobenius(m, product) + lost) * 2.0
    count = (2 * height - 1) * (2 * width - 1)
    if not m.exactly:
        # Each entry of each R_d is off by at most gamma times the norms of its two rows.
        lengths = m.norm(blocks.transpose(2, 0, 1, 3).reshape(size, -1), "l2")
        lost = lengths * (Up(gamma(height * width * inner + 2, UNIT)) * float(count))
        lost = lost[:, None] * lengths[None, :]
        sums = up(inflate(sums, 2 * count) + lost.value + 2.0**-900)
    return residual, _schur(sums, m)


def _window(blocks: NDArray[Any], down: int, across: int) -> NDArray[Any]:
    """Blocks ``q`` for which ``q - d`` exists too, side by side: ``[size, count * inner]``."""
    height, width = blocks.shape[:2]
    rows = slice(max(down, 0), height + min(down, 0))
    columns = slice(max(across, 0), width + min(across, 0))
    chosen = blocks[rows, columns].transpose(2, 0, 1, 3)
    return np.ascontiguousarray(chosen).reshape(len(chosen), -1)


def _schur(matrix: Any, m: Any, steps: int = 100) -> Any:
    """``max_i (M v)_i / v_i`` for a positive ``v`` near the Perron vector, rounded up."""
    floats = m.floats(matrix)
    vector, best = np.ones(len(floats)), math.inf
    for _ in range(steps):
        image = floats @ vector
        found = float((image / vector).max())
        if not 0 < found < best * (1 - 2.0**-44):
            break
        best, leader = found, vector
        vector = np.maximum(image / image.max(), 2.0**-40)
    if not best < math.inf:
        return m.upper(math.inf)
    shares = m.array(leader)
    ratios = m.divide(m.product(matrix, shares[None, :]), shares[:, None])
    return m.largest_sum(m.enlarge(ratios, len(floats) + 2), 1)
