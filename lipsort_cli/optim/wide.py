"""The step of :mod:`lipsort_cli.optim.stiefel` for matrices with far fewer rows than columns.

For W [m, n], m << n, all that a step does to W happens in the span of the rows of W and of the
tangent T, so that 2 m x 2 m numbers say it: with the three Gram matrices of W and T at hand,
direction, projection and retraction are products of [m, m], and W moves once, W <- A W + B T.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.devices import fast_dtype, reads_freely
from lipsort_cli.layers.constraints.polar import polar_polynomial
from lipsort_cli.layers.constraints.polynomials import inverse_sqrt_coefficient
from lipsort_cli.optim.stiefel import spectral_size, symmetric, terms_needed

_TIMES = 4
"""Columns for each row from which this pays."""
_ROWS = 128
"""Rows from which products, and not how many they are, take the time."""
_FAR = 0.03
"""||I - N|| from which four terms of the series of N^(-1/2) leave more than 1e-6."""


def is_wide(weight: Tensor) -> bool:
    """Whether this step is the quicker one for a weight [..., m, n], either of the sides longer.

    Only where a product in float32 is as quick as any (:func:`~lipsort_cli.devices.fast_dtype`):
    the retraction is among these products and needs its accuracy.
    """
    fewer, more = sorted(weight.shape[-2:])
    quick = fast_dtype(weight.device.type) == weight.dtype and reads_freely(weight.device)
    return quick and fewer >= _ROWS and more >= _TIMES * fewer


@torch.no_grad()
def wide_step_(weight: Tensor, momentum: Tensor, lr: float, polar_steps: int) -> bool:
    """Move ``weight`` [..., m, n] by spectral length ``lr`` against ``momentum``, in place.

    With S = M W^T, C = W W^T and s the symmetric part of S, the tangent part of the momentum is
    T = M - s W, and K = T W^T. The direction is D = P T with P the polynomial in T T^T that
    :func:`~lipsort_cli.layers.constraints.polar.approximate_polar` applies, its tangent part
    D - q W, q the symmetric part of P K. So X = A W + B T with A = I + lr q and B = -lr P, whose
    Gram matrix N = X X^T is known from C, K and T T^T; W <- N^(-1/2) X. Seven products with n,
    where the other form takes sixteen; the same step up to rounding.

    K would be S - s C without one of them, but of a momentum that is all but normal to the manifold
    T is rounding, which P makes as long as any direction: N has to be that of the T at hand.

    Returns:
        Whether the step was taken: not where N is far from I, as for a weight that is not
        orthonormal or a momentum that is no number.
    """
    wide = weight.shape[-2] < weight.shape[-1]
    w, m = (weight, momentum) if wide else (weight.mT, momentum.mT)
    tiny = torch.finfo(w.dtype).tiny
    # Largest entry 1 first, so that no square under- or overflows.
    m = m / m.abs().amax((-2, -1), keepdim=True).clamp_min(tiny)
    normal = symmetric(m @ w.mT)
    tangent = m - normal @ w
    gram, square = w @ w.mT, tangent @ tangent.mT
    inner = tangent @ w.mT
    polynomial = polar_polynomial(square, polar_steps)
    eye = torch.eye(w.shape[-2], dtype=w.dtype, device=w.device)
    # A tangent step of singular values s lengthens W to sqrt(1 + lr^2 s^2); s is about 1.
    shrink = (1 + lr * lr) ** -0.5
    a = shrink * (eye + lr * symmetric(polynomial @ inner))
    b = -shrink * lr * polynomial
    mixed = b @ inner @ a
    error = eye - (a @ gram @ a + mixed + mixed.mT + b @ square @ b)
    size = spectral_size(error)
    if not size < _FAR:
        return False
    root = eye
    for i in range(terms_needed(size), 0, -1):  # Horner's rule, in c_i / c_(i-1) E
        ratio = inverse_sqrt_coefficient(i) / inverse_sqrt_coefficient(i - 1)
        root = eye + ratio * (error if root is eye else error @ root)
    moved = (root @ a) @ w + (root @ b) @ tangent
    weight.copy_(moved if wide else moved.mT)
    return True
