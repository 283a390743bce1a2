"""The fast gradient sign method (Goodfellow et al., ICLR 2015), in L-infinity, L2 and L1."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lipsort_cli.attacks.steps import longest_descent
from lipsort_cli.layers.margins import worst_margin


def fgsm(
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Tensor,
    eps: float,
    *,
    norm: str = "linf",
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Tensor:
    """One step of length ``eps`` against the margin: ``[N, ...]`` to ``[N, ...]``."""
    moved = inputs.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(worst_margin(network(moved), labels).sum(), moved)
    result = inputs + longest_descent(gradient, eps, norm, inputs, bounds)
    return result if bounds is None else result.clamp(*bounds)
