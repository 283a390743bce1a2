"""Proven upper bounds of the largest singular value of a matrix: T1.

    ||W||^2 = lambda_max(W W') <= c^2 + ||c^2 I - W W' - R R'||_F    for any c and any matrix R

``residual`` takes ``R = 0``, ``cholesky`` a floating-point Cholesky factor: whether that is
accurate plays no part in the proof. The Gram matrix is taken on the smaller side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def scaled(weight: NDArray[np.float32]) -> tuple[NDArray[np.float64], int]:
    """``W / 2^e`` and ``e``, ``2^e`` just above max |W|.

    A power of two scales exactly, and keeps every product far from under- and overflow.
    """
    exponent = math.frexp(float(np.abs(weight).max()))[1]
    return np.ldexp(weight.astype(np.float64), -exponent), exponent


def spectral_bound(weight: NDArray[np.float32], m: Any, method: str, witness: float) -> Any:
    """Upper bound of the largest singular value of ``weight [out, in]``, by one of the methods.

    ``witness`` is ``c^2`` in units of ``4 ** e``.
    """
    array, exponent = scaled(weight)
    if method == "zero":
        return m.upper(math.inf if array.any() else 0.0)
    matrix = m.array(array if len(array) <= array.shape[1] else np.ascontiguousarray(array.T))
    if method == "frobenius":
        frobenius = m.norm(matrix.reshape(-1), "l2")
        square = frobenius * frobenius
    else:
        square = square_bound(matrix, witness, m, factorize=method == "cholesky")
    return m.root(square) * 2.0**exponent


def square_bound(matrix: Any, center: float, m: Any, factorize: bool) -> Any:
    """``c^2 + ||c^2 I - W W' - R R'||_F``, with ``R = 0`` or a Cholesky factor; or infinity."""
    if not 0 < center < math.inf:
        return m.upper(math.inf)

    def frobenius(array: Any) -> Any:
        return m.norm(array.reshape(-1), "l2")

    identity, gram = m.array(np.eye(matrix.shape[0]) * center), m.product(matrix, matrix)
    rest = identity - gram
    lost = m.lost_in_product(matrix, matrix) + (frobenius(identity) + frobenius(gram)) * m.rounding
    if factorize:
        try:
            hint = np.linalg.cholesky(m.floats(rest))
        except np.linalg.LinAlgError:
            return m.upper(math.inf)
        if not np.isfinite(hint).all():
            return m.upper(math.inf)
        factor = m.array(hint)
        square = m.product(factor, factor)
        lost = lost + m.lost_in_product(factor, factor)
        lost = lost + (frobenius(rest) + frobenius(square)) * m.rounding
        rest = rest - square
    return m.upper(center) + frobenius(rest) + lost
