"""DeepFool (Moosavi-Dezfooli et al., CVPR 2016): steps to the nearest linearised boundary."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lipsort_cli.attacks.steps import closing, expand, free

OVERSHOOT = 1e-4


def deepfool(
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Tensor,
    *,
    norm: str = "l2",
    steps: int = 40,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Tensor:
    """Perturbed inputs ``[N, ...]``; points still classified as labelled after ``steps`` remain so.

    Every step goes to the nearest boundary of the network linearised at the current point, against
    every other class in turn, a share ``OVERSHOOT`` beyond it. Components that would leave
    ``bounds`` stay where they are.
    """
    current = inputs.detach().clone()
    active = torch.arange(len(inputs))
    for _ in range(steps):
        moved = current[active].clone().requires_grad_()
        logits = network(moved)
        rows = torch.arange(len(active))
        truth = logits[rows, labels[active]]
        gaps = truth[:, None] - logits
        others = torch.ones_like(gaps, dtype=torch.bool)
        others[rows, labels[active]] = False
        still = (gaps[others].view(len(active), -1) > 0).all(1)
        if not still.any():
            break
        best = torch.full((len(active),), torch.inf, dtype=inputs.dtype)
        step = torch.zeros_like(moved).flatten(1)
        for other in range(logits.shape[1]):
            (gradient,) = torch.autograd.grad(gaps[:, other].sum(), moved, retain_graph=True)
            gradient = free(gradient, moved.detach(), bounds)
            length, move = closing(gradient, gaps[:, other].detach(), norm, moved.detach(), bounds)
            nearer = others[:, other] & (length < best)
            best = torch.where(nearer, length, best)
            step = torch.where(nearer[:, None], move, step)
        following = moved.detach() - (1 + OVERSHOOT) * step.view_as(moved)
        if bounds is not None:
            following = following.clamp(*bounds)
        current[active] = torch.where(expand(still, moved), following, moved.detach())
        active = active[still]
    return current
