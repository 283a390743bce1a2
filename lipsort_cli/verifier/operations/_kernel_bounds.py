"""Proven upper bounds of the L2 norm of convolutions: T1c.

With the blocks ``B_q`` of :mod:`_kernels`, ``A A'`` is the stationary operator with blocks
``R_d = sum_q B_q B_(q-d)'`` (``A' A``: the same with transposed blocks), so

    residual      ||A||^2 <= c^2 + ||R_0 - c^2 I||_F + sum_(d != 0) ||R_d||_F
    rows          ||A||^2 <= max_i (M v)_i / v_i,  M = sum_d |R_d|,  any v > 0   (Schur's test)
    frequencies   ||A||   <= max_f ||B(f)||_2,  B(f) = sum_q B_q e^(i f q), over the frequencies
                  of a torus; each by T1 with a floating-point Cholesky factor
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Unsupported, require
from ..linear import frobenius, scaled, square_bound
from ..operation import Layer
from ..rounding import UNIT, Up, gamma, inflate, up
from ._kernels import BITS, circle, folded, folded_shape, periods

FOLDED = 1 << 26
"""Components of folded blocks up to which more than absolute sums is tried."""
WORK = 3e11
"""Multiplications that the frequencies of one layer may take."""
LARGEST_PERIOD = 1 << 14
MOVED = 13.0
SIDE = 1536
_UNDERFLOW = 2.0**-900


def proof_products(layer: Layer, method: str, started: float = MOVED) -> float:
    """About the multiply-adds of a proof by correlations or frequencies.

    ``started``: those that take as long as a number moved.
    """
    height, width, rows, columns = folded_shape(layer)
    small, large = sorted((rows, columns))
    if method != "frequencies":
        shifts = layer.groups * ((2.0 * height - 1) * (2 * width - 1) / 2 + 1)
        sides = small + (large if large <= SIDE else 0)
        return shifts * small * large * (height * width * sides + 20.0 * started)
    first, second = periods(layer)
    each = 4.0 * small * small * (large + 2 * small) + 4.0 * small * large * height * width
    each += started * (20.0 * small * large + 1000.0 * height * width + 1e5)
    return layer.groups * (first // 2 + 1.0) * second * each


def too_long(layer: Layer) -> bool:
    """Whether there are more frequencies than are tried."""
    many = proof_products(layer, "frequencies", 0.0) > WORK
    return many or max(periods(layer)) > LARGEST_PERIOD


def _largest(bounds: list[Any]) -> Any:
    return reduce(lambda one, other: one.max(other), bounds)


def _turned(m: Any, blocks: Any) -> Any:
    return m.select(lambda array: array.swapaxes(2, 3), blocks)


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
    def of(cls, layer: Layer, m: Any) -> Folded:
        """Raises Unsupported beyond ``FOLDED`` components."""
        reason = f"more than {FOLDED} components of folded blocks"
        require(math.prod(folded_shape(layer)) <= FOLDED, layer.place, reason, Unsupported)
        weight, exponent = scaled(layer.matrix)
        groups = (m.array(part) for part in np.split(weight, layer.groups))
        blocks = [m.select(lambda kernel: folded(layer, kernel), group) for group in groups]
        return cls(layer, m, blocks, exponent)

    def spatial(self, center: float) -> tuple[Any, Any]:
        """By ``residual`` with ``c^2 = center``, and by ``rows``; the better of both sides."""
        found = []
        for blocks in self.blocks:
            sides = sorted((blocks, _turned(self.m, blocks)), key=lambda side: int(side.shape[2]))
            sides = sides[: 1 + (sides[1].shape[2] <= SIDE)]
            squares = zip(*(_one_side(side, center, self.m) for side in sides), strict=True)
            found.append([reduce(lambda one, other: one.min(other), each) for each in squares])
        return _largest([group[0] for group in found]), _largest([group[1] for group in found])

    def frequencies(self, center: float) -> Any:
        """With ``c^2 = center`` for all; infinite where a factorisation fails."""
        m = self.m
        reason = f"more than {WORK:g} products for frequencies"
        require(not too_long(self.layer), self.layer.place, reason, Unsupported)
        squares = []
        for blocks in self.blocks:
            worst = most = m.upper(0.0)
            for symbol, lost in self.symbols(blocks):
                most = most.max(lost)
                square = square_bound(symbol, center, m, factorize=True)
                if not square < m.upper(math.inf):  # NaN too: a maximum would hide it
                    return m.upper(math.inf)
                worst = worst.max(square)
            whole = m.root(worst) + most
            squares.append(whole * whole)
        return _largest(squares)

    def symbols(self, blocks: Any) -> Iterator[tuple[Any, Any]]:
        """``B(f)`` for half of the torus, and what each may be off by; as real matrices.

        ``[[Re, -Im], [Im, Re]]`` has the norm of ``Re + i Im``. Conjugate frequencies have the same
        norm, so half of them suffice.
        """
        m, (first, second) = self.m, periods(self.layer)
        down, across = circle(first), circle(second)
        blocks = _turned(m, blocks) if blocks.shape[2] > blocks.shape[3] else blocks
        height, width = blocks.shape[:2]
        sums = m.select(lambda array: array.sum(axis=(0, 1)).reshape(-1), abs(blocks))
        # Roots are rounded to binary64, sums of products with them in it; twice, for both parts.
        rounded = 2 * gamma(4 * height * width + 32, UNIT)
        lost = m.norm(m.enlarge(sums, height * width), "l2") * rounded

        def matrix(array: NDArray[Any], roots: NDArray[Any]) -> NDArray[Any]:
            real, imaginary = (np.tensordot(part, array, axes=2) for part in roots)
            return np.block([[real, -imaginary], [imaginary, real]])

        for f in range(first // 2 + 1):
            for g in range(second):
                roots = np.empty((2, height, width), dtype=object)
                for q, p in np.ndindex(height, width):
                    (a, b), (c, d) = down[f * q % first], across[g * p % second]
                    roots[:, q, p] = (a * c - b * d) >> BITS, (a * d + b * c) >> BITS
                yield m.bilinear(matrix, blocks, m.array(roots / (1 << BITS))), lost


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
        sums = up(inflate(sums, 2 * count) + lost.value + _UNDERFLOW)
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
