"""Proven upper bounds of the L2 norm of convolutions.

With the blocks ``B_q`` of :mod:`lipsort_cli.verifier.convolution`, ``A A'`` is the stationary
operator with blocks ``R_d = sum_q B_q B_(q-d)'`` (``A' A``: the same with transposed blocks), so

    residual      ||A||^2 <= c^2 + ||R_0 - c^2 I||_F + sum_(d != 0) ||R_d||_F
    rows          ||A||^2 <= max_i (M v)_i / v_i,  M = sum_d |R_d|,  any v > 0   (Schur's test)
    frequencies   ||A||   <= max_f ||B(f)||_2,  B(f) = sum_q B_q e^(i f q), over the frequencies
                  of a torus; each ||B(f)||^2 <= c^2 + ||c^2 I - B B* - L L*||_F with a
                  floating-point Cholesky factor L, whose accuracy plays no part in the proof
    absolute sums ||A||^2 <= (largest row sum) (largest column sum)

The first is tight for orthogonal, the second for almost-orthogonal (AOL) kernels, the third for
all. Every product's rounding is bounded by ``gamma`` times the product of the factors' norms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.convolution import (
    absolute_sums,
    folded,
    folded_size,
    periods,
    roots_of_unity,
)
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.rounding import (
    UNIT,
    Floats,
    add_up,
    gamma,
    inflate,
    mul_up,
    norm_up,
    up,
)

FOLDED = 1 << 26
"""Components of folded blocks up to which more than absolute sums is tried."""
WORK = 3e11
"""Multiplications that the frequencies of one layer may take."""
SIDE = 1536
TIGHT = 1 + 2.0**-22
_UNDERFLOW = 2.0**-900
Bound = tuple[float, str, float]


def convolution_bound(layer: Layer, norm: str, method: str = "", witness: float = 0.0) -> Bound:
    """Upper bound of the layer's constant in ``norm``, its method and its witness."""
    assert layer.weight is not None
    absolute = np.abs(layer.weight).astype(np.float64)
    rows, columns = absolute_sums(layer, absolute)
    if norm != "l2":
        name = "row" if norm == "linf" else "column"
        return (rows if norm == "linf" else columns), f"largest absolute {name} sum", 0.0
    largest = float(absolute.max())
    if largest == 0.0:
        return 0.0, "zero", 0.0
    best: Bound = (float(up(math.sqrt(mul_up(rows, columns)))), "absolute sums", 0.0)
    if method == "absolute sums" or folded_size(layer) > FOLDED:
        return best
    # A power of two scales exactly, and keeps every product far from under- and overflow.
    exponent = math.frexp(largest)[1]
    scaled = np.ldexp(layer.weight.astype(np.float64), -exponent)
    one = math.ldexp(1.0, -2 * exponent)
    groups = [folded(layer, kernel) for kernel in np.split(scaled, layer.groups)]
    if method in ("", "residual", "rows"):
        squares = np.max([_spatial(blocks, one) for blocks in groups], axis=0)
        for name, square in zip(("residual", "rows"), squares, strict=True):
            if method in ("", name):
                best = min(
                    best, (_root(square, exponent), name, one if name == "residual" else 0.0)
                )
    if method == "frequencies":
        found = max(_frequencies(layer, blocks, witness) for blocks in groups)
        best = min(best, (_root(found, exponent), method, witness))
    elif not method and best[0] > TIGHT and _work(layer, groups) <= WORK:
        estimate = max(_estimate(layer, blocks) for blocks in groups)
        for center in _centers(estimate):
            found = max(_frequencies(layer, blocks, center) for blocks in groups)
            if found < math.inf:
                best = min(best, (_root(found, exponent), "frequencies", center))
                break
    return best


def _root(square: float, exponent: int) -> float:
    return math.ldexp(float(up(up(math.sqrt(square)))), exponent)


def _centers(estimate: float) -> Iterator[float]:
    if math.isfinite(estimate):
        for share in (2.0**-36, 2.0**-30, 2.0**-25, 2.0**-20, 2.0**-14, 2.0**-8, 2.0**-3, 1.0):
            yield estimate * (1 + share)


def _spatial(blocks: Floats, one: float) -> tuple[float, float]:
    """Squares of the residual and the rows bound, the better of both sides."""
    sides = [blocks, blocks.swapaxes(2, 3)]
    sides.sort(key=lambda side: side.shape[2])
    found = [_one_side(side, one) for side in sides if side is sides[0] or side.shape[2] <= SIDE]
    return min(item[0] for item in found), min(item[1] for item in found)


def _one_side(blocks: Floats, one: float) -> tuple[float, float]:
    height, width, size, inner = blocks.shape
    whole = blocks.transpose(2, 0, 1, 3).reshape(size, -1)
    residual = one
    sums = np.zeros((size, size))
    for down in range(height):
        for across in range(-width + 1 if down else 0, width):
            first = _window(blocks, down, across)
            second = _window(blocks, -down, -across)
            product = first @ second.T
            error = float(
                mul_up(
                    gamma(first.shape[1] + 2, UNIT),
                    norm_up(first.reshape(-1), "l2"),
                    norm_up(second.reshape(-1), "l2"),
                )
            )
            if down == across == 0:
                sums += np.abs(product)
                product[np.diag_indices(size)] -= one
                error = add_up(error, mul_up(4 * UNIT, up(math.sqrt(size)), one), _UNDERFLOW)
                error = add_up(error, mul_up(4 * UNIT, norm_up(product.reshape(-1), "l2")))
                residual = add_up(residual, norm_up(product.reshape(-1), "l2"), error)
            else:
                sums += np.abs(product) + np.abs(product.T)
                size_of = add_up(norm_up(product.reshape(-1), "l2"), error, _UNDERFLOW)
                residual = add_up(residual, 2 * size_of)
    # Each entry of each R_d is off by at most gamma times the norms of its two rows.
    lengths = norm_up(whole, "l2")
    count = (2 * height - 1) * (2 * width - 1)
    lost = mul_up(gamma(height * width * inner + 2, UNIT), count, lengths)
    matrix = up(inflate(sums, 2 * count) + mul_up(lost[:, None], lengths[None, :]) + _UNDERFLOW)
    return float(residual), _schur(matrix)


def _window(blocks: Floats, down: int, across: int) -> Floats:
    """Blocks ``q`` for which ``q - d`` exists too, side by side: ``[size, count * inner]``."""
    height, width = blocks.shape[:2]
    rows = slice(max(down, 0), height + min(down, 0))
    columns = slice(max(across, 0), width + min(across, 0))
    chosen = blocks[rows, columns].transpose(2, 0, 1, 3)
    return np.ascontiguousarray(chosen).reshape(len(chosen), -1)


def _schur(matrix: Floats, steps: int = 100) -> float:
    """``max_i (M v)_i / v_i`` for a positive ``v`` near the Perron vector; rounded up."""
    vector = np.ones(len(matrix))
    best = math.inf
    for _ in range(steps):
        image = np.asarray(inflate(matrix @ vector, len(matrix)))
        found = float(up(image / vector).max())
        better = found < best * (1 - 2.0**-44)
        best = min(best, found)
        if not better or not 0 < best < math.inf:
            break
        vector = np.maximum(image / image.max(), 2.0**-40)
    return best


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
        worst = max(worst, float(np.max(add_up(rest, lost))))
    root = up(math.sqrt(add_up(center, worst)))
    whole = add_up(root, lost_symbol)
    return float(mul_up(whole, whole))


def _squares(values: NDArray[Any]) -> Floats:
    """Sum of squared absolute values of each matrix of ``[J, m, n]``, rounded up."""
    parts = np.ascontiguousarray(values).view(np.float64)
    flat = parts.reshape(len(parts), -1)
    return np.asarray(inflate(np.einsum("ij,ij->i", flat, flat), flat.shape[1]))
