"""Proven upper bounds of the L2 norm of convolutions.

With the blocks ``B_q`` of :mod:`_kernels`, ``A A'`` is the stationary operator with blocks
``R_d = sum_q B_q B_(q-d)'`` (``A' A``: the same with transposed blocks), so

    residual      ||A||^2 <= c^2 + ||R_0 - c^2 I||_F + sum_(d != 0) ||R_d||_F
    rows          ||A||^2 <= max_i (M v)_i / v_i,  M = sum_d |R_d|,  any v > 0   (Schur's test)
    frequencies   ||A||   <= max_f ||B(f)||_2,  B(f) = sum_q B_q e^(i f q), over the frequencies
                  of a torus; each ||B(f)||^2 <= c^2 + ||c^2 I - B B* - L L*||_F with a
                  floating-point Cholesky factor L, whose accuracy plays no part in the proof
    absolute sums ||A||^2 <= (largest row sum) (largest column sum)

The first is tight for orthogonal, the second for almost-orthogonal (AOL) kernels, the third for
all. Every product's rounding is bounded by ``gamma`` times the product of the factors' norms. The
same formulas serve exact arithmetic, where nothing is lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hints import centers, largest_square
from ..layer import Layer
from ..rounding import UNIT, gamma, inflate, mul_up, norm_up, up
from ..spectral import square_bound
from ._kernels import BITS, absolute_sums, circle, folded, folded_size, periods

FOLDED = 1 << 26
"""Components of folded blocks up to which more than absolute sums is tried."""
WORK = 3e11
"""Multiplications that the frequencies of one layer may take."""
LARGEST_PERIOD = 1 << 14
SIDE = 1536
TIGHT = 1 + 2.0**-22
_UNDERFLOW = 2.0**-900


def convolution_bound(
    layer: Layer, norm: str, m: Any, method: str = "", witness: float = 0.0
) -> tuple[Any, str, float]:
    """Upper bound of the layer's constant in ``norm`` on ``m``, its method and its witness."""
    assert layer.weight is not None
    rows, columns = absolute_sums(layer, m, abs(m.array(layer.weight)))
    if norm != "l2":
        name = "row" if norm == "linf" else "column"
        return (rows if norm == "linf" else columns), f"largest absolute {name} sum", 0.0
    largest = float(np.abs(layer.weight).max())
    if largest == 0.0:
        return m.upper(0.0), "zero", 0.0
    best: tuple[Any, str, float] = (m.root(rows * columns), "absolute sums", 0.0)
    if method == "absolute sums" or folded_size(layer) > FOLDED:
        return best
    # A power of two scales exactly, and keeps every product far from under- and overflow.
    exponent = math.frexp(largest)[1]
    scaled = np.ldexp(layer.weight.astype(np.float64), -exponent)
    one = math.ldexp(1.0, -2 * exponent)
    groups = [
        m.select(lambda kernel: folded(layer, kernel), m.array(part))
        for part in np.split(scaled, layer.groups)
    ]

    def offer(square: Any, name: str, number: float) -> None:
        nonlocal best
        root = m.root(square) * 2.0**exponent
        if root < best[0]:
            best = root, name, number

    if method in ("", "residual", "rows"):
        residual, rows = (
            reduce(_larger, squares)
            for squares in zip(*(_spatial(blocks, one, m) for blocks in groups), strict=True)
        )
        if method != "rows":
            offer(residual, "residual", one)
        if method != "residual":
            offer(rows, "rows", 0.0)
    if _work(layer, groups) > WORK or max(periods(layer)) > LARGEST_PERIOD:
        return best
    if method == "frequencies":
        offer(
            reduce(_larger, [_frequencies(layer, b, witness, m) for b in groups]), method, witness
        )
    elif not method and not best[0] < m.upper(TIGHT):
        symbols = (symbol for blocks in groups for symbol, _ in _symbols(layer, blocks, m))
        for center in centers(largest_square(symbols)):
            square = reduce(_larger, [_frequencies(layer, b, center, m) for b in groups])
            if square < m.upper(math.inf):
                offer(square, "frequencies", center)
                break
    return best


def _larger(first: Any, second: Any) -> Any:
    return first.max(second)


def _spatial(blocks: Any, one: float, m: Any) -> tuple[Any, Any]:
    """Squares of the residual and the rows bound, the better of both sides."""
    sides = [blocks, m.select(lambda array: array.swapaxes(2, 3), blocks)]
    sides.sort(key=lambda side: int(side.shape[2]))
    found = [_one_side(side, one, m) for side in sides if side is sides[0] or side.shape[2] <= SIDE]
    residual, rows = found[0]
    for other in found[1:]:
        residual, rows = residual.min(other[0]), rows.min(other[1])
    return residual, rows


def _one_side(blocks: Any, one: float, m: Any) -> tuple[Any, Any]:
    height, width, size, inner = blocks.shape
    identity = m.array(np.eye(size) * one)
    residual, sums = m.upper(one), m.array(np.zeros((size, size)))
    for down in range(height):
        for across in range(-width + 1 if down else 0, width):
            first = m.select(partial(_window, down=down, across=across), blocks)
            second = m.select(partial(_window, down=-down, across=-across), blocks)
            product = m.product(first, second)
            lost = m.lost_in_product(first, second)
            if down == across == 0:
                sums = sums + abs(product)
                product = product - identity
                whole = m.norm(product.reshape(-1), "l2") + m.norm(identity.reshape(-1), "l2")
                lost = lost + whole * m.rounding
                residual = residual + m.norm(product.reshape(-1), "l2") + lost
            else:
                sums = sums + abs(product) + m.select(np.transpose, abs(product))
                residual = residual + (m.norm(product.reshape(-1), "l2") + lost) * 2.0
    count = (2 * height - 1) * (2 * width - 1)
    if not m.exactly:
        # Each entry of each R_d is off by at most gamma times the norms of its two rows.
        lengths = norm_up(blocks.transpose(2, 0, 1, 3).reshape(size, -1), "l2")
        lost = mul_up(gamma(height * width * inner + 2, UNIT), count, lengths)
        sums = up(inflate(sums, 2 * count) + mul_up(lost[:, None], lengths[None, :]) + _UNDERFLOW)
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


def _work(layer: Layer, groups: list[Any]) -> float:
    first, second = periods(layer)
    height, _, rows, columns = groups[0].shape
    small, large = sorted((rows, columns))
    each = 4.0 * small * small * (large + 2 * small) + 4.0 * rows * columns * height
    return len(groups) * (first // 2 + 1) * second * each


def _symbols(layer: Layer, blocks: Any, m: Any) -> Iterator[tuple[Any, Any]]:
    """``B(f)`` for half of the torus, and what each may be off by; as real matrices.

    ``[[Re, -Im], [Im, Re]]`` has the norm of ``Re + i Im``. Conjugate frequencies have the same
    norm, so half of them suffice.
    """
    first, second = periods(layer)
    down, across = circle(first), circle(second)
    if blocks.shape[2] > blocks.shape[3]:
        blocks = m.select(lambda array: array.swapaxes(2, 3), blocks)
    height, width = blocks.shape[:2]
    sums = m.select(lambda array: array.sum(axis=(0, 1)).reshape(-1), abs(blocks))
    lost = m.norm(m.enlarge(sums, height * width), "l2") * m.unity(4 * height * width + 32)

    def matrix(array: NDArray[Any], roots: NDArray[Any]) -> NDArray[Any]:
        real, imaginary = (np.tensordot(part, array, axes=2) for part in roots)
        return np.block([[real, -imaginary], [imaginary, real]])

    for f in range(first // 2 + 1):
        for g in range(second):
            roots = np.empty((2, height, width), dtype=object)
            for q in range(height):
                for p in range(width):
                    (a, b), (c, d) = down[f * q % first], across[g * p % second]
                    roots[:, q, p] = (a * c - b * d) >> BITS, (a * d + b * c) >> BITS
            yield m.bilinear(matrix, blocks, m.fractions(roots, BITS)), lost


def _frequencies(layer: Layer, blocks: Any, center: float, m: Any) -> Any:
    """Square of the bound with ``c^2 = center``; infinite where a factorisation fails."""
    worst = most = m.upper(0.0)
    for symbol, lost in _symbols(layer, blocks, m):
        most = most.max(lost)
        square = square_bound(symbol, center, m, factorize=True)
        if not square < m.upper(math.inf):  # NaN too: a maximum would hide it
            return m.upper(math.inf)
        worst = worst.max(square)
    whole = m.root(worst) + most
    return whole * whole
