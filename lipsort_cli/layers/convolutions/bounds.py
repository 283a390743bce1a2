"""Upper bounds of a convolution's operator norm on padded inputs of any size.

Every bound is of the operator on infinite images. A zero-padded convolution is a compression of it
(embed, convolve, keep some outputs), a circular one has a sample of its frequency response, so
neither is longer. A stride s becomes channels first: see :func:`.geometry.fold`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lipsort_cli.layers.base import in_norm, symmetric_norm_bound
from lipsort_cli.layers.convolutions.geometry import Geometry, fold

_GRID = 16
"""Frequencies an axis for each degree of the kernel's trigonometric polynomial."""


def grouped(weight: Tensor, groups: int) -> Tensor:
    """[out, in / groups, k, k] to [groups, out / groups, in / groups, k, k]."""
    return weight.unflatten(0, (groups, -1))


@torch.no_grad()
def convolution_bound(weight: Tensor, geometry: Geometry, norm: str) -> float:
    """An upper bound of the norm of a convolution, from ``norm`` (l2, linf, l1) to itself.

    ``weight`` [out, in / groups, k, k] is as ``torch.nn.functional.conv2d`` takes it. L-infinity
    and L1 are the largest absolute sums of an output's row and of an input's column; L2 is the
    smaller of :func:`correlation_bound` and :func:`frequency_bound`.
    """
    kernel = grouped(weight.detach().double(), geometry.groups)
    kernel = fold(kernel, geometry.stride, geometry.dilation)
    if norm != "l2":
        rows, columns = (float(kernel.abs().sum((one, 3, 4)).max()) for one in (2, 1))
        return in_norm(norm, l2=0.0, linf=rows, l1=columns)
    by_correlation = correlation_bound(kernel)
    if by_correlation < 1.001:
        return by_correlation
    return min(by_correlation, float(frequency_bound(kernel)[0]))


def autocorrelation(kernel: Tensor) -> Tensor:
    """R_d = sum_t K_t K_(t+d)^T over the smaller side of channels.

    Of a kernel [groups, out, in, t, t] it is [groups, n, n, 2 t - 1, 2 t - 1], n = min(out, in),
    offset d at index d + t - 1: the blocks of the operator's Gram matrix, exactly as if computed
    offset by offset.
    """
    if kernel.shape[1] > kernel.shape[2]:
        kernel = kernel.transpose(1, 2)
    size = 2 * kernel.shape[-1] - 1
    spectrum = torch.fft.rfft2(kernel, s=(size, size)).movedim((1, 2), (-2, -1))
    square = (spectrum @ spectrum.mH).movedim((-2, -1), (1, 2))
    return torch.fft.fftshift(torch.fft.irfft2(square, s=(size, size)), dim=(-2, -1))


def correlation_bound(kernel: Tensor) -> float:
    """S^2 <= 1 + sum_d ||R_d - delta_(d,0) I||: tight for orthogonal convolutions.

    Of a kernel [groups, out, in, t, t] of stride 1.
    """
    square = autocorrelation(kernel)
    middle, n = square.shape[-1] // 2, square.shape[1]
    centre = square[..., middle, middle].clone()
    # Outside the centre, offsets d and -d have transposed blocks, of the same norm.
    lengths = square.square().sum((1, 2)).sqrt()
    lengths[:, middle, middle] = 0
    eye = torch.eye(n, dtype=kernel.dtype, device=kernel.device)
    # 1e-12: the rounding of the transforms.
    return max(
        math.sqrt(1 + symmetric_norm_bound(one - eye) + float(rest) + 1e-12)
        for one, rest in zip(centre, lengths.sum((-2, -1)), strict=True)
    )


def frequency_bound(
    kernel: Tensor, squarings: int = 8
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, int]]:
    """The largest singular value of the frequency response, from samples, from above.

    u^T K(w) v is a trigonometric polynomial in each frequency, of degree m = ceil((t - 1) / 2) once
    centred, for any u and v; its modulus on n > 2 m equidistant samples reaches cos(pi m / n) of
    its maximum (Ehlich and Zeller 1964). At each sample, Gram iteration (Delattre et al., ICML
    2023) bounds the singular value: ||A||_2^(2 p) <= ||(A A^*)^p||_F with p = 2^j.

    Args:
        kernel: [groups, out, in, t, t], stride 1.
        squarings: j; the bound is above by a factor n^(1 / 2^(j + 2)) at most.

    Returns:
        The bound, a scalar, and where it is found: group and both frequencies, indices [1], and
        samples an axis. Nothing is read from the device.
    """
    degree = kernel.shape[-1] // 2
    samples = max(1, _GRID * degree)
    if kernel.shape[1] > kernel.shape[2]:
        kernel = kernel.transpose(1, 2)
    spectrum = _response(kernel, samples)
    power = spectrum @ spectrum.mH
    log_scale = torch.zeros(power.shape[:-2], dtype=kernel.dtype, device=kernel.device)
    tiny = torch.finfo(kernel.dtype).tiny
    for j in range(squarings + 1):
        length = torch.linalg.matrix_norm(power).clamp_min(tiny)
        log_scale += length.log() / 2**j
        power = power / length[..., None, None]
        if j < squarings:
            power = power @ power
    position = log_scale.argmax()[None]
    half = log_scale.shape[-1]
    group, row, column = (position // (samples * half), position // half % samples, position % half)
    slack = 1 + 64 * torch.finfo(kernel.dtype).eps * max(kernel.shape[1:3])
    between = 1 / math.cos(math.pi * degree / samples) if degree else 1.0
    bound = (0.5 * log_scale.max()).exp() * (between**2 * slack)
    return bound, (group, row, column, samples)


def _response(kernel: Tensor, samples: int) -> Tensor:
    """Frequency response [groups, samples, samples // 2 + 1, out, in]; the kernel is real."""
    if kernel.shape[-1] > samples:
        kernel = kernel.sum((-2, -1), keepdim=True)
    return torch.fft.rfft2(kernel, s=(samples, samples)).movedim((1, 2), (-2, -1))
