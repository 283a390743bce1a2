"""Proven upper bounds of the L2 norm of convolutions.

With the blocks ``B_q`` of :mod:`_kernels`, ``A A'`` is the stationary
operator with blocks ``R_d = sum_q B_q B_(q-d)'`` (``A' A``: the same with transposed blocks), so

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
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layer import Layer
from ..rounding import UNIT, Floats, add_up, gamma, inflate, mul_up, norm_up, up
from ._kernels import BITS, absolute_sums, circle, folded, folded_size, periods, roots_of_unity

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
        if m.less(root, best[0]):
            best = root, name, number

    if method in ("", "residual", "rows"):
        residual, rows = (
            reduce(m.greater, squares)
            for squares in zip(*(_spatial(blocks, one, m) for blocks in groups), strict=True)
        )
        if method != "rows":
            offer(residual, "residual", one)
        if method != "residual":
            offer(rows, "rows", 0.0)
    if _work(layer, groups) > WORK or max(periods(layer)) > LARGEST_PERIOD:
        return best
    if method == "frequencies":
        squares = [
            _frequencies_exactly(layer, blocks, witness, m)
            if m.exactly
            else m.upper(_frequencies(layer, blocks, witness))
            for blocks in groups
        ]
        offer(reduce(m.greater, squares), method, witness)
    elif not method and best[0].value > TIGHT:
        estimate = max(_estimate(layer, blocks) for blocks in groups)
        for center in _centers(estimate):
            square = max(_frequencies(layer, blocks, center) for blocks in groups)
            if square < math.inf:
                offer(m.upper(square), "frequencies", center)
                break
    return best


def _centers(estimate: float) -> Iterator[float]:
    if math.isfinite(estimate):
        for share in (2.0**-36, 2.0**-30, 2.0**-25, 2.0**-20, 2.0**-14, 2.0**-8, 2.0**-3, 1.0):
            yield estimate * (1 + share)


def _spatial(blocks: Any, one: float, m: Any) -> tuple[Any, Any]:
    """Squares of the residual and the rows bound, the better of both sides."""
    sides = [blocks, m.select(lambda array: array.swapaxes(2, 3), blocks)]
    sides.sort(key=lambda side: int(side.shape[2]))
    found = [_one_side(side, one, m) for side in sides if side is sides[0] or side.shape[2] <= SIDE]
    return reduce(m.least, [item[0] for item in found]), reduce(m.least, [i[1] for i in found])


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


def _work(layer: Layer, groups: list[Floats]) -> float:
    first, second = periods(layer)
    height, _, rows, columns = groups[0].shape
    small, large = sorted((rows, columns))
    each = 4.0 * small * small * (large + 2 * small) + 4.0 * rows * columns * height
    return len(groups) * (first // 2 + 1) * second * each


def _symbols(layer: Layer, blocks: Floats) -> Iterator[tuple[Floats, float]]:
    """``B(f)`` for half of the torus, some at a time ``[J, small, large]``, and their error.

    Conjugate frequencies have the same norm, so half of them suffice.
    """
    first, second = periods(layer)
    if blocks.shape[2] > blocks.shape[3]:
        blocks = blocks.swapaxes(2, 3)
    height, width, small, large = blocks.shape
    down = roots_of_unity(first)[np.outer(np.arange(first // 2 + 1), np.arange(height)) % first]
    across = roots_of_unity(second)[np.outer(np.arange(second), np.arange(width)) % second]
    sizes = inflate(np.abs(blocks).sum(axis=(0, 1)), height * width)
    error = float(mul_up(gamma(4 * (height + width) + 32, UNIT), norm_up(sizes.reshape(-1), "l2")))
    columns = np.tensordot(across, blocks, axes=(1, 1))  # [second, height, small, large]
    columns = columns.transpose(1, 0, 2, 3).reshape(height, -1)
    for row in down:
        yield (row @ columns).reshape(second, small, large), error


def _estimate(layer: Layer, blocks: Floats) -> float:
    """About the largest eigenvalue of any ``B B*``. Only an estimate: nothing rests on it."""
    best, leader = -1.0, None
    generator = np.random.default_rng(0)
    for symbol, _ in _symbols(layer, blocks):
        vectors = generator.standard_normal((symbol.shape[1], 2)) + 0j
        power = np.broadcast_to(vectors, (len(symbol), *vectors.shape))
        dual = symbol.conj().swapaxes(1, 2)
        for _ in range(6):
            power = symbol @ (dual @ power)
            power = power / (np.linalg.norm(power, axis=1, keepdims=True) + 1e-300)
        sizes = np.linalg.norm(dual @ power, axis=1).max(axis=1)
        # Power iteration is far from converged; it only ranks the frequencies.
        for place in np.argsort(sizes)[-3:]:
            if sizes[place] >= 0.8 * best:
                value = float(np.linalg.norm(symbol[place], 2))
                if value > best:
                    best, leader = value, place
    return math.inf if leader is None else best * best


def _frequencies(layer: Layer, blocks: Floats, center: float) -> float:
    """Square of the bound with ``c^2 = center``; infinite where a factorisation fails."""
    if not 0 < center < math.inf:
        return math.inf
    worst, lost_symbol = 0.0, 0.0
    for symbol, error in _symbols(layer, blocks):
        lost_symbol = max(lost_symbol, error)
        size, inner = symbol.shape[1:]
        # All-zero symbols factor like any other; NaN cannot occur, weights being finite.
        gram = symbol @ symbol.conj().swapaxes(1, 2)
        frobenius2 = _squares(symbol)
        shifted = -gram
        shifted[:, np.arange(size), np.arange(size)] += center
        try:
            factor = np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            return math.inf
        if not np.isfinite(factor).all():
            return math.inf
        product = factor @ factor.conj().swapaxes(1, 2)
        scale = add_up(
            np.sqrt(_squares(gram)),
            mul_up(center, up(math.sqrt(size))),
            np.sqrt(_squares(product)),
        )
        lost = add_up(
            mul_up(gamma(4 * inner + 16, UNIT), frobenius2),
            mul_up(gamma(4 * size + 16, UNIT), _squares(factor)),
            mul_up(16 * UNIT, scale),
            _UNDERFLOW,
        )
        rest = up(np.sqrt(_squares(shifted - product)))
        found = float(np.max(add_up(rest, lost)))
        if not found < math.inf:  # NaN too: a maximum would hide it
            return math.inf
        worst = max(worst, found)
    root = up(math.sqrt(add_up(center, worst)))
    whole = add_up(root, lost_symbol)
    return float(mul_up(whole, whole))


def _squares(values: NDArray[Any]) -> Floats:
    """Sum of squared absolute values of each matrix of ``[J, m, n]``, rounded up."""
    parts = np.ascontiguousarray(values).view(np.float64)
    flat = parts.reshape(len(parts), -1)
    return np.asarray(inflate(np.einsum("ij,ij->i", flat, flat), flat.shape[1]))


def _frequencies_exactly(layer: Layer, blocks: Any, center: float, m: Any) -> Any:
    """The same with symbols as integers: ``[[Re, -Im], [Im, Re]]`` has the norm of the symbol."""
    first, second = periods(layer)
    down, across = circle(first), circle(second)
    cut = BITS - 100
    if blocks.shape[2] > blocks.shape[3]:
        blocks = m.select(lambda array: array.swapaxes(2, 3), blocks)
    height, width = blocks.shape[:2]

    def symbol(array: NDArray[Any], f: int, g: int) -> NDArray[Any]:
        real = imaginary = 0
        for q in range(height):
            for p in range(width):
                (a, b), (c, d) = down[f * q % first], across[g * p % second]
                x, y = (a * c - b * d) >> (BITS + cut), (a * d + b * c) >> (BITS + cut)
                real, imaginary = real + array[q, p] * x, imaginary + array[q, p] * y
        return np.block([[real, -imaginary], [imaginary, real]])

    worst = m.upper(0.0)
    for f in range(first // 2 + 1):
        for g in range(second):
            grid = m.select(lambda array, f=f, g=g: symbol(array, f, g), blocks)
            grid = grid * 2.0 ** (cut - BITS)
            worst = m.greater(worst, m.spectral(grid, Fraction(center), "cholesky"))
    # Every number above is off by less than 2^-98 of its tap.
    taps = m.largest_sum(abs(blocks).reshape(1, -1), 1) * 2.0**-90
    return (worst + taps) * (worst + taps)
