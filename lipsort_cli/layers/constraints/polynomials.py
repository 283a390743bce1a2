"""Matrix polynomials for polar factors: Newton-Schulz (Bjorck) iterations.

With X = U S V^T, an odd polynomial p(S) is applied to the singular values by matrix products only;
U V^T, the nearest orthonormal matrix, is its fixed point.
"""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

BJORCK_COEFFICIENTS: dict[int, tuple[float, ...]] = {
    # Taylor polynomials of x^(-1/2) at 1, expanded in powers of x: Bjorck & Bowie (1971).
    1: (3 / 2, -1 / 2),
    2: (15 / 8, -5 / 4, 3 / 8),
    3: (35 / 16, -35 / 16, 21 / 16, -5 / 16),
    4: (315 / 128, -105 / 32, 189 / 64, -45 / 32, 35 / 128),
}


def gram(x: Tensor) -> Tensor:
    """X X^T or X^T X of [..., m, n], whichever is smaller: [..., k, k], k = min(m, n)."""
    return x @ x.mT if x.shape[-2] <= x.shape[-1] else x.mT @ x


def multiply(square: Tensor, x: Tensor) -> Tensor:
    """Apply a matrix on the Gram side of ``x`` [m, n] to it."""
    return square @ x if x.shape[-2] <= x.shape[-1] else x @ square


def bjorck_step(x: Tensor, order: int = 1) -> Tensor:
    """One Bjorck iteration X <- X sum_i c_i (X^T X)^i of the given order.

    Args:
        x: [m, n]. Iterated, every singular value in (0, r) goes to 1, with r = sqrt(3) = 1.732 for
            order 1, sqrt(7/3) = 1.527 for 2, 1.589 for 3 and 1.494 for 4; beyond, it goes to
            infinity or to another sign. Order 1 never exceeds 1 once they are at most 1; even
            orders approach 1 from above.
        order: 1 to 4, the degree of the polynomial in the Gram matrix.

    Returns:
        [m, n], nearer to the polar factor of x.
    """
    coefficients = BJORCK_COEFFICIENTS[order]
    square = gram(x)
    # Horner's rule on the small Gram matrix; one product with x at the end.
    eye = torch.eye(square.shape[-1], dtype=x.dtype, device=x.device)
    polynomial = coefficients[-1] * square + coefficients[-2] * eye
    for coefficient in reversed(coefficients[:-2]):
        polynomial = polynomial @ square + coefficient * eye
    return multiply(polynomial, x)


def inverse_sqrt_coefficient(i: int) -> float:
    """Coefficient of E^i in (I - E)^(-1/2) = sum_i binom(2i, i) / 4^i E^i."""
    return comb(2 * i, i) / 4**i


@torch.no_grad()
def orthonormality_error(weight: Tensor) -> float:
    """Largest absolute entry of G - I, G the Gram matrix on the smaller side, in binary64."""
    square = gram(weight.double())
    eye = torch.eye(square.shape[-1], dtype=square.dtype, device=square.device)
    return float((square - eye).abs().max())


@torch.no_grad()
def polar_factor(weight: Tensor, tolerance: float = 1e-7, iterations: int = 60) -> Tensor:
    """The nearest matrix with orthonormal rows or columns, to the dtype's accuracy.

    Newton-Schulz where the singular values are near 1 already, an SVD in binary64 otherwise or
    where the iteration does not get there.
    """
    x = weight
    error = orthonormality_error(x)
    for _ in range(iterations):
        if not error < 0.5 / max(1, min(x.shape[-2:])) ** 0.5:
            break
        x = bjorck_step(x, 1)
        previous, error = error, orthonormality_error(x)
        if error <= tolerance or error > previous / 2:
            return x
    u, _, vh = torch.linalg.svd(weight.double(), full_matrices=False)
    return (u @ vh).to(weight.dtype)
