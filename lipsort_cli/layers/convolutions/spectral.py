"""Spectral rescaling of convolutions by an upper bound, never by power iteration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.layers.constraints.base import haar
from lipsort_cli.layers.convolutions.base import Convolution
from lipsort_cli.layers.convolutions.bounds import frequency_bound, grouped
from lipsort_cli.layers.convolutions.geometry import fold


class SpectralConvolution(Convolution):
    """K = V / S, S >= ||V|| from the frequency response (:func:`.bounds.frequency_bound`).

    With ``ball``, K = V / max(1, S): a kernel that is inside already stays as it is.

    S is an upper bound in training as well, so the layer is 1-Lipschitz at every step. Its gradient
    is that of the singular value at the sample where it is found.

    Args: as :class:`Convolution`; ``iterations`` is the number of squarings of Gram iteration
        while training (8 outside): fewer are quicker and leave S further above.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        iterations: int = 5,
        ball: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, **options)
        self.iterations, self.ball = iterations, ball
        shape = self.geometry
        weight = haar(shape.groups, shape.group_out, shape.group_in * kernel**2)
        self.parameter = nn.Parameter(weight.view(shape.weight_shape))

    def kernel(self) -> Tensor:
        shape = self.geometry
        folded = fold(grouped(self.parameter, shape.groups), shape.stride, shape.dilation)
        squarings = self.iterations if self.training else 8
        bound, (group, row, column, samples) = frequency_bound(folded.detach(), squarings)
        longer = bound > (1.0 if self.ball else 0.0)
        if not torch.is_grad_enabled():
            return self.parameter / torch.where(longer, bound, 1.0)
        response = _response_at(folded.index_select(0, group)[0], row, column, samples)
        with torch.no_grad():
            u, v = leading_vectors(response)
        sigma = (u.conj() @ response @ v).real
        tiny = torch.finfo(sigma.dtype).tiny
        divisor = sigma * (bound / sigma.detach().clamp_min(tiny))
        return self.parameter / torch.where(longer, divisor, 1.0).clamp_min(tiny)


def leading_vectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """About the left and right singular vectors of the largest singular value of [m, n].

    u is the longest column of (A A^*)^(2^6), v is A^* u of length 1: what an SVD gives where that
    value stands alone, and a pair of nearly that value where several are alike. An SVD would wait
    for the device.
    """
    power = matrix @ matrix.mH
    for _ in range(6):
        power = power / torch.linalg.matrix_norm(power).clamp_min(torch.finfo(matrix.dtype).tiny)
        power = power @ power
    longest = torch.linalg.vector_norm(power, dim=0).argmax()[None]
    u = power.index_select(1, longest)[:, 0]
    u = u / torch.linalg.vector_norm(u).clamp_min(torch.finfo(matrix.dtype).tiny)
    v = matrix.mH @ u
    return u, v / torch.linalg.vector_norm(v).clamp_min(torch.finfo(matrix.dtype).tiny)


def _response_at(kernel: Tensor, row: Tensor, column: Tensor, samples: int) -> Tensor:
    """Frequency response [out, in] of [out, in, t, t] at one sample."""
    taps = torch.arange(kernel.shape[-1], device=kernel.device, dtype=kernel.dtype)
    turn = -2 * torch.pi / samples
    waves = [torch.polar(torch.ones_like(taps), turn * number * taps) for number in (row, column)]
    return torch.einsum("oiyx,y,x->oi", kernel.to(waves[0].dtype), *waves)
