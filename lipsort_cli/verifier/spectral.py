"""Proven upper bounds of the largest singular value of a matrix.

One fact serves every method: for any ``c`` and any matrix ``R``,

    ||W||^2 = lambda_max(W W') <= c^2 + ||c^2 I - W W' - R R'||_F ,

because ``c^2 I - W W' = R R' + E >= -||E||``. With ``R = 0`` this is the residual bound, good for
orthonormal weights (``c = 1``); with ``R`` a floating-point Cholesky factor it is tight for any
weight, and whether the factorisation was accurate plays no part in the proof. The Gram matrix is
taken on the smaller side. Rounding errors of the two products are bounded by
``gamma * || |A| |A|' ||_F <= gamma * ||A||_F^2``; an exact machine has none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hints import centers, largest_eigenvalue
from .rounding import UNIT

TIGHT = 1 + 2.0**-24


def spectral_bound(
    weight: NDArray[np.float32], m: Any, method: str = "", witness: float = 0.0
) -> tuple[Any, str, float]:
    """Upper bound of the largest singular value of ``weight [out, in]``, its method and witness.

    ``method`` and ``witness`` pick the proof; without a method the tightest is taken. A bad witness
    costs tightness, never soundness. It is ``c^2`` in units of ``4 ** e``, 2^e just above max |W|.
    """
    largest = float(np.abs(weight).max())
    if largest == 0.0:
        return m.upper(0.0), "zero", 0.0
    # A power of two scales exactly, and keeps every product below far from under- and overflow.
    exponent = math.frexp(largest)[1]
    scaled = np.ldexp(weight.astype(np.float64), -exponent)
    matrix = m.array(scaled if len(scaled) <= scaled.shape[1] else np.ascontiguousarray(scaled.T))
    frobenius = m.norm(matrix.reshape(-1), "l2")
    one = math.ldexp(1.0, -2 * exponent)
    best = frobenius * frobenius, "frobenius", 0.0
    if method in ("", "residual"):
        square = square_bound(matrix, one, m, factorize=False)
        best = (square, "residual", one) if square < best[0] else best
    if method == "cholesky":
        tries = iter([witness])
    elif method or (best[1] == "residual" and best[0] < m.upper(one * TIGHT)):
        tries = iter([])
    else:
        room = 8 * sum(matrix.shape) * UNIT * best[0].value
        tries = centers(largest_eigenvalue(matrix @ matrix.T) + room)
    for center in tries:
        square = square_bound(matrix, center, m, factorize=True)
        if square < m.upper(math.inf):
            best = (square, "cholesky", center) if square < best[0] else best
            break
    return m.root(best[0]) * 2.0**exponent, best[1], best[2]


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
