"""Attacks along the margin's gradient, in L2, L-infinity and L1.

One step, the fast gradient sign method (Goodfellow et al., ICLR 2015), and many, projected gradient
descent (Madry et al., ICLR 2018).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lipsort_cli.attacks.steps import ascent, free, longest_descent, project
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


def pgd(
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Tensor,
    eps: float,
    *,
    norm: str = "l2",
    steps: int = 20,
    restarts: int = 1,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Search each ball of radius ``eps`` for an input of another class.

    Ascends max_{j != y} f_j - f_y, whose gradient does not vanish where a softmax saturates. The
    first start is the clean input, further ones are random.

    Args:
        network: [N, ...] to logits [N, C]; in evaluation mode.
        inputs: [N, ...].
        labels: [N]; an example that is wrong already counts as fooled at distance 0.
        eps: radius in units of the raw input.
        norm: ``l2``, ``linf`` or ``l1``.
        steps: gradient steps of length 2.5 eps / steps.
        restarts: starts; the strongest perturbation of all is kept.
        bounds: least and greatest raw value, which perturbed inputs stay between, or None.
        generator: of the random starts.

    Returns:
        ``fooled`` [N] bool and the perturbed inputs [N, ...] with the smallest margin found; the
        sum's rounding may put them that much outside.
    """
    best = inputs.clone()
    best_margin = torch.full((len(inputs),), torch.inf, device=inputs.device)
    if not len(inputs):
        return ~(best_margin > 0), best  # not every layer of torch takes an empty batch

    def keep(moved: Tensor, margin: Tensor) -> None:
        nonlocal best_margin
        better = ~(margin >= best_margin)  # NaN is better than anything
        best_margin = torch.where(better, margin, best_margin)
        best[better] = moved[better]

    for start in range(restarts):
        delta = torch.zeros_like(inputs)
        if start:
            noise = torch.randn(inputs.shape, generator=generator).to(inputs)
            delta = project(eps * ascent(noise, norm), eps, norm, inputs, bounds)
        for _ in range(steps):
            moved = (inputs + delta).detach().requires_grad_()
            margin = worst_margin(network(moved), labels)
            keep(moved.detach(), margin.detach())
            (gradient,) = torch.autograd.grad(margin.sum(), moved)
            if norm == "l1":  # few components move: none that cannot
                gradient = free(gradient, moved.detach(), bounds)
            delta = delta - 2.5 * eps / steps * ascent(gradient, norm)
            delta = project(delta, eps, norm, inputs, bounds)
        with torch.no_grad():
            keep(inputs + delta, worst_margin(network(inputs + delta), labels))
    return ~(best_margin > 0), best  # ties and NaN are no robust margins
