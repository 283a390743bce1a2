"""Adversarial training: every batch is moved against the network before it is learnt from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lipsort_cli.attacks.steps import ascent, expand, inside, project
from lipsort_cli.config.train import Adversarial
from lipsort_cli.devices import sent
from lipsort_cli.training.losses import Loss

Adversary = Callable[[Tensor, Tensor, int], Tensor]
"""Inputs [N, ...], labels [N] and a seed to the inputs that are learnt from."""


def build_adversary(
    config: Adversarial,
    network: Callable[[Tensor], Tensor],
    loss: Loss,
    bounds: tuple[float, float] | None,
) -> Adversary | None:
    """The adversary of the configuration node ``training.adversarial``; None where eps is null.

    Starts at a uniform point of each ball and takes ``steps`` steps of length 2.5 eps / steps that
    raise the training loss (Madry et al., ICLR 2018); inputs stay in ``bounds``, the range of raw
    inputs. The network stays in training mode: what is attacked is what is trained.
    """
    if config.eps is None:
        return None
    eps, norm, steps = config.eps, config.norm, config.steps

    def move(inputs: Tensor, labels: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        delta = inside(inputs, _start(inputs, eps, norm, generator), bounds)
        for _ in range(steps):
            moved = (inputs + delta).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(network(moved), labels), moved)
            delta = delta + 2.5 * eps / steps * ascent(gradient, norm)
            delta = project(delta, eps, norm, inputs, bounds)
        return (inputs + delta).detach()

    return move


def _start(inputs: Tensor, eps: float, norm: str, generator: torch.Generator) -> Tensor:
    """Uniform in the ball of radius ``eps``: [N, ...]."""
    to = inputs.device
    if norm == "linf":
        return (2 * sent(torch.rand(inputs.shape, generator=generator), to) - 1) * eps
    direction = ascent(sent(torch.randn(inputs.shape, generator=generator), to), norm)
    share = expand(sent(torch.rand(len(inputs), generator=generator), to), inputs)
    # The volume within radius r grows as r^d.
    return direction * eps * share ** (1 / inputs[0].numel())
