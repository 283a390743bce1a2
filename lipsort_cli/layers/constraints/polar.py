"""Polar factors by a fixed number of products: cheap and approximate, or as good as exact."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.devices import fast_dtype
from lipsort_cli.layers.constraints.polynomials import bjorck_step

# Odd quintic polynomials a x + b x^3 + c x^5, one a step, for each number of steps. Each is the
# minimax fit of 1 on the interval that the one before leaves, starting from [l, 1] with l = 0.2,
# 0.05, 0.01, 0.003, 0.001 for 1 to 5 steps: the optimal composition of Amsel, Persson, Musco and
# Gower, "The Polar Express" (2025), computed by linear programming for these intervals.
POLYNOMIALS: dict[int, tuple[tuple[float, float, float], ...]] = {
    1: ((4.23878, -8.700097, 5.681343),),
    2: ((6.752376, -18.350976, 13.26327), (2.537864, -1.874677, 0.44128)),
    3: (
        (8.093374, -23.620453, 17.446169),
        (3.636585, -2.721927, 0.536546),
        (2.6613, -1.977154, 0.452616),
    ),
    4: (
        (8.383674, -24.765907, 18.357082),
        (4.04342, -3.011405, 0.569512),
        (3.505571, -2.626654, 0.525719),
        (2.490116, -1.834275, 0.436835),
    ),
    5: (
        (8.470331, -25.108087, 18.629286),
        (4.182836, -3.108703, 0.580607),
        (3.961857, -2.954064, 0.562976),
        (3.286584, -2.464719, 0.507358),
        (2.273748, -1.644658, 0.416191),
    ),
}
_CONVERGED = (15 / 8, -5 / 4, 3 / 8)
"""What every further step uses: the polynomial that is flat at 1."""

_CUSHION = 1.01
"""Every polynomial but the last is squeezed by this: outside its interval it grows steeply, and the
rounding of bfloat16 would push values out."""


def polynomials(steps: int) -> list[tuple[float, float, float]]:
    """Coefficients (a, b, c) of each of ``steps`` steps, the cushion included."""
    best = POLYNOMIALS[min(steps, len(POLYNOMIALS))]
    result = [*best, *[_CONVERGED] * (steps - len(best))]
    squeezed = [(a / _CUSHION, b / _CUSHION**3, c / _CUSHION**5) for a, b, c in result[:-1]]
    return [*squeezed, result[-1]]


def approximate_polar(x: Tensor, steps: int, dtype: torch.dtype | None = None) -> Tensor:
    """U V^T of X = U S V^T, roughly: a descent direction needs no more.

    Singular values within a factor 100 of the largest end in about [0.7, 1.3] after 3 steps, within
    a factor 1000 in [0.9, 1.1] after 5; smaller ones end below.

    Of x [..., m, n], where a zero matrix gives zero, in the ``dtype`` of the products, by default
    the fastest of the device. Each of the Newton-Schulz ``steps``, at least 1, costs two products
    on the smaller Gram side and one with x.
    """
    dtype = fast_dtype(x.device.type) if dtype is None else dtype
    wide = x.shape[-2] <= x.shape[-1]
    y = x if wide else x.mT
    # Largest entry 1 first, so that no square under- or overflows.
    y = (y / y.abs().amax((-2, -1), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)).to(dtype)
    square = y @ y.mT
    # ||Y||_2 <= ||Y Y^T||_F^(1/2), much closer than ||Y||_F where many singular values are
    # alike, and free: the first step needs this product anyway.
    # At least 1 unless x is zero, for which any positive number will do.
    bound = 1.02 * square.float().norm(dim=(-2, -1), keepdim=True).sqrt().clamp_min(0.5)
    y = y / bound.to(dtype)
    square = square / (bound * bound).to(dtype)
    multiply_add = torch.addmm if y.dim() == 2 else torch.baddbmm
    for step, (a, b, c) in enumerate(polynomials(steps)):
        if step:
            square = y @ y.mT
        polynomial = multiply_add(square, square, square, beta=b, alpha=c)
        y = multiply_add(y, polynomial, y, beta=a)
    return y if wide else y.mT


def polar_polynomial(square: Tensor, steps: int) -> Tensor:
    """P of [..., m, m], which :func:`approximate_polar` applies: P X, of ``square`` = X X^T.

    For X with far more columns than rows products of [m, m] alone find it, at most four a step.
    What X has below 1e-3 of its largest singular value is lost in the square's rounding.
    """
    eye = torch.eye(square.shape[-1], dtype=square.dtype, device=square.device)
    tiny = torch.finfo(square.dtype).tiny
    bound = 1.02 * square.norm(dim=(-2, -1), keepdim=True).sqrt().clamp_min(tiny**0.5)
    square = square / bound**2
    (a, b, c), *later = polynomials(steps)
    factor = a * eye + b * square + c * (square @ square)
    found = factor / bound
    for a, b, c in later:
        square = factor @ square @ factor
        factor = a * eye + b * square + c * (square @ square)
        found = factor @ found
    return found


def settled(x: Tensor, near: float = 1.0) -> Tensor:
    """The polar factor of [..., m, n] by products whose number does not depend on their values.

    What :func:`.polynomials.polar_factor` and the retraction of :mod:`lipsort_cli.optim` measure
    their way to, for devices on which measuring would wait: every choice is made beforehand. The
    largest singular value must be below 1000 times the smallest; ``near`` bounds ||X X^T - I||
    (smaller side): the fewer products the smaller it is.
    """
    if not near < 0.5:
        return approximate_polar(x, len(POLYNOMIALS) + 3, x.dtype)
    while near > 1e-7:
        x = bjorck_step(x)
        near = near * near * (3 + near) / 4
    return x
