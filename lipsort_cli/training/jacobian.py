"""The penalty on the Jacobian's norm: smoothness asked for instead of guaranteed."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.devices import sent


def spectral_penalty(
    logits: Tensor, inputs: Tensor, generator: torch.Generator, iterations: int = 3
) -> Tensor:
    """The batch mean of ||df/dx||_2, by power iteration at every example; from below.

    As :func:`jacobian_penalty`; ``iterations`` of J J^T on a random direction. The last left
    singular vector is held fixed, so that the gradient is that of ||J^T u||.
    """
    u = sent(torch.randn(logits.shape, generator=generator), logits.device).to(logits.dtype)
    for _ in range(iterations):
        u = torch.nn.functional.normalize(u, dim=1).detach().requires_grad_()
        back = torch.autograd.grad((u * logits).sum(), inputs, create_graph=True)[0]
        # J v as the derivative of <J^T u, v> in u: back-propagation twice.
        (u,) = torch.autograd.grad((back * back.detach()).sum(), u, retain_graph=True)
    u = torch.nn.functional.normalize(u, dim=1).detach()
    (product,) = torch.autograd.grad((u * logits).sum(), inputs, create_graph=True)
    # The root's slope at 0 is infinite.
    return (product.flatten(1).square().sum(1) + 1e-12).sqrt().mean()


def jacobian_penalty(logits: Tensor, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """An unbiased estimate of the batch mean of ||df/dx||_F^2, differentiable in the weights.

    With v uniform on the unit sphere of R^C, E[C ||v^T J||^2] = ||J||_F^2, so one vector-Jacobian
    product an example suffices (Hoffman, Roberts and Yaida, 2019; double back-propagation goes
    back to Drucker and LeCun, 1992). ``logits`` [N, C] are computed with gradients from ``inputs``
    [N, ...], which require them; ``generator``, on the CPU, so that every device draws the same v.
    """
    v = sent(torch.randn(logits.shape, generator=generator), logits.device).to(logits.dtype)
    v = v / v.norm(dim=1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
    (product,) = torch.autograd.grad((v * logits).sum(), inputs, create_graph=True)
    return logits.shape[1] * product.flatten(1).square().sum(1).mean()


PENALTIES = {"frobenius": jacobian_penalty, "spectral": spectral_penalty}
"""By the name of ``training.jacobian_norm``."""
