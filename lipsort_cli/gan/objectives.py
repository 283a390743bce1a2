"""What critics are trained for, and what is measured of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsort_cli.devices import sent
from lipsort_cli.layers.base import evaluating


def critic_loss(name: str, real: Tensor, fake: Tensor) -> Tensor:
    """The critic's loss of its values f(x) [n] on data and f(y) [m] on generated points.

    wasserstein: mean f(y) - mean f(x), the negative of the dual's objective. hinge: mean max(0, 1 -
    f(x)) + mean max(0, 1 + f(y)), which leaves points alone that are told apart well enough. The
    generator's loss is -mean f(y) for both.
    """
    if name == "wasserstein":
        return fake.mean() - real.mean()
    if name == "hinge":
        return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
    raise ValueError(f"found loss {name!r}; allowed are wasserstein, hinge")


def gap(real: Tensor, fake: Tensor) -> Tensor:
    """mean f(x) - mean f(y): at most K W1 of the two samples for a K-Lipschitz f; a scalar."""
    return real.detach().mean() - fake.detach().mean()


def between(real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """Random points of the segments from ``real`` to ``fake`` [n, ...], to differentiate at."""
    share = sent(torch.rand(len(real), generator=random), real.device)
    share = share.view(-1, *[1] * (real.dim() - 1))
    return (share * real + (1 - share) * fake).detach().requires_grad_()


def gradient_norms(
    network: nn.Module, real: Tensor, fake: Tensor, random: torch.Generator
) -> Tensor:
    """||grad f|| at random points of the segments from ``real`` to ``fake`` [n, ...]: [n], float32.

    Empirical: no bound of the constant, which may be larger elsewhere.
    """
    points = between(real, fake, random)
    with evaluating(network):
        (slopes,) = torch.autograd.grad(network(points).sum(), points)
    norms: Tensor = slopes.flatten(1).norm(dim=1)
    return norms
