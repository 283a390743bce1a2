"""Proven upper bounds of the largest singular value of a matrix.

One fact serves every method: for any ``c`` and any matrix ``R``,

    ||W||^2 = lambda_max(W W') <= c^2 + ||c^2 I - W W' - R R'||_F ,

because ``c^2 I - W W' = R R' + E >= -||E||``. With ``R = 0`` this is the residual bound, good for
orthonormal weights (``c = 1``); with ``R`` a floating-point Cholesky factor it is tight for any
weight, and whether the factorisation was accurate plays no part in the proof. The Gram matrix is
taken on the smaller side. Rounding errors of the two products are bounded by
``gamma * || |A| |A|' ||_F <= gamma * ||A||_F^2``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .rounding import UNIT, add_up, gamma, inflate, mul_up, norm_up, up


def spectral_bound(
    weight: NDArray[np.float32], method: str = "", witness: float = 0.0
) -> tuple[float, str, float]:
    """Upper bound of the largest singular value of ``weight [out, in]``, its method and witness.

    ``method`` and ``witness`` pick the proof; without a method the tightest is taken. A bad witness
    costs tightness, never soundness. It is ``c^2`` in units of ``4 ** e``, 2^e just above max |W|.
    """
    matrix = weight.astype(np.float64)
    largest = float(np.abs(matrix).max())
    if largest == 0.0:
        return 0.0, "zero", 0.0
    # A power of two scales exactly, and keeps every product below far from under- and overflow.
    exponent = math.frexp(largest)[1]
    matrix = np.ldexp(matrix, -exponent)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = np.ascontiguousarray(matrix.T)
    size, inner = matrix.shape
    gram = matrix @ matrix.T
    frobenius2 = float(inflate(float(np.einsum("ij,ij->", matrix, matrix)), matrix.size))
    gram_error = float(mul_up(gamma(inner + 2, UNIT), frobenius2)) + 2.0**-900
    one = math.ldexp(1.0, -2 * exponent)
    best = (frobenius2, "frobenius", 0.0)
    if method in ("", "residual"):
        square = _square_bound(gram, gram_error, one, factorize=False)
        best = min(best, (square, "residual", one))
    tight = best[1] == "residual" and best[0] <= one * (1 + 2.0**-24)
    if method == "cholesky" or (not method and not tight):
        estimates = _centers(gram, frobenius2, size + inner) if not method else iter([witness])
        for center in estimates:
            square = _square_bound(gram, gram_error, center, factorize=True)
            if square < math.inf:
                best = min(best, (square, "cholesky", center))
                break
    root = float(up(up(math.sqrt(best[0]))))
    return math.ldexp(root, exponent), best[1], best[2]


def _centers(gram: NDArray[np.float64], frobenius2: float, count: int) -> Iterator[float]:
    """Numbers to try for ``c^2``, each a little further above the largest eigenvalue."""
    estimate = _largest_eigenvalue(gram)
    if not math.isfinite(estimate):
        return
    room = 8 * count * UNIT * frobenius2
    for share in (0.0, 2.0**-32, 2.0**-28, 2.0**-24, 2.0**-21, 2.0**-16, 2.0**-10, 2.0**-4, 1.0):
        yield (estimate + room) * (1 + share)


def _largest_eigenvalue(gram: NDArray[np.float64], steps: int = 64) -> float:
    """Lanczos estimate with full reorthogonalisation. Only an estimate: nothing rests on it."""
    size = gram.shape[0]
    steps = min(steps, size)
    basis = np.zeros((steps, size))
    vector = np.cos(np.arange(1.0, size + 1.0)) + gram.sum(axis=1)
    images = np.zeros_like(basis)
    for step in range(steps):
        length = float(np.linalg.norm(vector))
        if not 0 < length < math.inf:
            steps = step
            break
        basis[step] = vector / length
        images[step] = gram @ basis[step]
        vector = images[step]
        for _ in range(2):
            vector = vector - basis[: step + 1].T @ (basis[: step + 1] @ vector)
    if steps == 0:
        return float(np.trace(gram))
    small = basis[:steps] @ images[:steps].T
    try:
        return float(np.linalg.eigvalsh((small + small.T) / 2)[-1])
    except np.linalg.LinAlgError:
        return math.inf


def _square_bound(
    gram: NDArray[np.float64], gram_error: float, center: float, factorize: bool
) -> float:
    """``c^2 + ||c^2 I - G - R R'||_F`` rounded up, with ``R = 0`` or a Cholesky factor."""
    size = gram.shape[0]
    if not 0 < center < math.inf:
        return math.inf
    shifted = -gram
    shifted[np.diag_indices(size)] += center
    scale = add_up(_frobenius(gram), mul_up(center, up(math.sqrt(size))))
    error = add_up(gram_error, mul_up(4 * UNIT, scale))
    residual = shifted
    if factorize:
        try:
            factor = np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            return math.inf
        if not np.isfinite(factor).all():
            return math.inf
        approximation = factor @ factor.T
        factor2 = inflate(float(np.einsum("ij,ij->", factor, factor)), factor.size)
        error = add_up(
            error,
            mul_up(gamma(size + 2, UNIT), factor2),
            mul_up(4 * UNIT, add_up(scale, _frobenius(approximation))),
            2.0**-900,
        )
        residual = shifted - approximation
    return float(add_up(center, _frobenius(residual), error))


def _frobenius(matrix: NDArray[np.float64]) -> float:
    return float(norm_up(matrix.reshape(-1), "l2"))
