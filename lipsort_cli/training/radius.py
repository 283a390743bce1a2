"""Certified radii as training sees them: quick, in float32, never a proof.

What a run claims at its end comes from :mod:`lipsort_cli.certificates`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lipsort_cli.layers import Dense, lipschitz_constant
from lipsort_cli.norms import DUAL, NAMES, ORDER, conversion
from lipsort_cli.zoo import Network


@torch.no_grad()
def body_constant(network: Network, norm: str) -> float:
    """Product of the layers' constants before the head, in ``norm`` (l2, linf or l1)."""
    return _constant(nn.Sequential(*list(network)[:-1]), norm)


def _constant(layer: nn.Module, norm: str) -> float:
    """A layer's constant; infinite for one of which nothing is known."""
    try:
        return lipschitz_constant(layer, norm)
    except TypeError:
        return math.inf


def best_route(network: Network, norm: str) -> tuple[str, float]:
    """The norm in which the layers' constants promise the largest radii in ``norm``, and the body's
    constant there times what the change of norms costs (:func:`lipsort_cli.norms.conversion`).
    """
    size = math.prod(network.input_shape)
    constants = {
        via: body_constant(network, via) * conversion(norm, via, size)
        for via in (norm, *(name for name in NAMES if name != norm))
    }
    gaps = {via: float(head_gaps(network.head, via).double().mean()) for via in constants}
    best = min(constants, key=lambda via: constants[via] * gaps[via])
    return best, constants[best]


@torch.no_grad()
def head_gaps(head: nn.Module, norm: str) -> Tensor:
    """Constants of f_i - f_j as functions of what the head takes [C, C], or one for all pairs.

    ||w_i - w_j|| in the dual norm for a dense head; twice the head's own constant for any other,
    as each output has that.
    """
    if not isinstance(head, Dense):
        return torch.tensor(2 * _constant(head, norm))
    weight = head.weight.detach()
    difference = weight[:, None, :] - weight[None, :, :]
    return torch.linalg.vector_norm(difference, ORDER[DUAL[norm]], dim=2)


@torch.no_grad()
def radii(logits: Tensor, labels: Tensor, gaps: Tensor, constant: float) -> Tensor:
    """min_{j != y} (f_y - f_j) / (constant * gap_yj) [N], negative where the class is wrong.

    Of logits [N, C] and labels [N], in units of the input. ``gaps``: constants of differences of
    logits [C, C], or one for all (:func:`head_gaps`); ``constant``: of everything before the head.
    """
    lengths = gaps[labels] if gaps.dim() else gaps
    ahead = logits.gather(1, labels[:, None]) - logits
    ratios = ahead / (constant * lengths).clamp_min(torch.finfo(ahead.dtype).tiny)
    return ratios.scatter(1, labels[:, None], torch.inf).min(1).values
