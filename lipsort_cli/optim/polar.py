"""The cheap, approximate polar factor that gives the steepest direction in spectral norm."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

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


@functools.cache
def fast_dtype(device_type: str) -> torch.dtype:
    """bfloat16 where the hardware multiplies it faster than float32, float32 elsewhere.

    Only ever for directions and training products, never for what a certificate depends on.
    """
    if device_type == "cpu":
        # Emulated on processors without the instructions, it would be slower than float32. They
        # may be there and not be used: ATEN_CPU_CAPABILITY tells torch so.
        probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        used = torch.backends.cpu.get_cpu_capability() == "AVX512"
        return torch.bfloat16 if used and probe is not None and probe() else torch.float32
    if device_type == "cuda":
        # torch calls it supported where it emulates it too, before compute capability 8.0.
        older = torch.version.hip is None and torch.cuda.get_device_capability() < (8, 0)
        return torch.float32 if older or not torch.cuda.is_bf16_supported() else torch.bfloat16
    return torch.float32


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

    Args:
        x: [..., m, n]. A zero matrix gives zero.
        steps: Newton-Schulz steps, at least 1; each costs two products on the smaller Gram side
            and one with x.
        dtype: of the products; by default the fastest of the device.

    Returns:
        [..., m, n] in the dtype of the products.
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
