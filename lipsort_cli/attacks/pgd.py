"""Projected gradient descent (Madry et al., ICLR 2018) in L2 and L-infinity."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lipsort_cli.layers.margins import worst_margin


def project(delta: Tensor, eps: float, norm: str) -> Tensor:
    """Onto the ball of radius ``eps``; [N, ...]."""
    if norm == "linf":
        return delta.clamp(-eps, eps)
    length = delta.flatten(1).norm(dim=1).clamp_min(torch.finfo(delta.dtype).tiny)
    return delta * (eps / length).clamp_max(1.0).view(-1, *[1] * (delta.dim() - 1))


def ascent(gradient: Tensor, norm: str) -> Tensor:
    """Steepest ascent direction of unit length in ``norm``."""
    if norm == "linf":
        return gradient.sign()
    length = gradient.flatten(1).norm(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
    return gradient / length.view(-1, *[1] * (gradient.dim() - 1))


def inside(inputs: Tensor, delta: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    """Keep inputs + delta in ``bounds``; that never lengthens a perturbation of a point inside."""
    return delta if bounds is None else (inputs + delta).clamp(*bounds) - inputs


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
    first start is the clean input, further ones are random. Perturbed inputs stay in ``bounds``,
    the range of *raw* inputs.

    Args:
        network: [N, ...] to logits [N, C]; in evaluation mode.
        inputs: [N, ...].
        labels: [N]; an example that is wrong already counts as fooled at distance 0.
        eps: radius in units of the raw input.
        norm: ``l2`` or ``linf``.
        steps: gradient steps of length 2.5 eps / steps.
        restarts: starts; the strongest perturbation of all is kept.
        bounds: least and greatest raw value, or None.
        generator: of the random starts.

    Returns:
        ``fooled`` [N] bool and the perturbed inputs [N, ...] with the smallest margin found.
    """
    best = inputs.clone()
    best_margin = torch.full((len(inputs),), torch.inf, device=inputs.device)
    if not len(inputs):
        # All points may have fallen before; not every layer of torch takes an empty batch.
        return ~(best_margin > 0), best

    def keep(moved: Tensor, margin: Tensor) -> None:
        nonlocal best_margin
        better = ~(margin >= best_margin)  # NaN is better than anything
        best_margin = torch.where(better, margin, best_margin)
        best[better] = moved[better]

    for start in range(restarts):
        delta = torch.zeros_like(inputs)
        if start:
            noise = torch.randn(inputs.shape, generator=generator).to(inputs)
            delta = inside(inputs, project(eps * ascent(noise, norm), eps, norm), bounds)
        for _ in range(steps):
            moved = (inputs + delta).detach().requires_grad_()
            margin = worst_margin(network(moved), labels)
            keep(moved.detach(), margin.detach())
            (gradient,) = torch.autograd.grad(margin.sum(), moved)
            delta = project(delta - 2.5 * eps / steps * ascent(gradient, norm), eps, norm)
            delta = inside(inputs, delta, bounds)
        with torch.no_grad():
            keep(inputs + delta, worst_margin(network(inputs + delta), labels))
    # Not a strict margin is not a robust one: ties and NaN count as fooled.
    return ~(best_margin > 0), best
