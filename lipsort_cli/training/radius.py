"""Certified radii as training sees them: quick, in float32, never a proof.

What a run claims at its end comes from :mod:`lipsort_cli.certificates`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers import lipschitz_constant
from lipsort_cli.zoo import Network


@torch.no_grad()
def body_constant(network: Network, norm: str) -> float:
    """Product of the layers' constants before the head, in ``norm`` (l2, linf or l1)."""
    constant = 1.0
    for layer in list(network)[:-1]:
        constant *= lipschitz_constant(layer, norm)
    return constant


@torch.no_grad()
def radii(logits: Tensor, labels: Tensor, head: Tensor, constant: float, norm: str) -> Tensor:
    """min_{j != y} (f_y - f_j) / (constant * ||w_y - w_j||), negative where the class is wrong.

    Args:
        logits: [N, C].
        labels: [N].
        head: rows w_j [C, h] of the last layer.
        constant: of everything before it.
        norm: ``l2``, or ``linf`` with the dual norm of head differences.

    Returns:
        [N], in units of the input.
    """
    difference = head[:, None, :] - head[None, :, :]
    lengths = difference.norm(dim=2) if norm == "l2" else difference.abs().sum(2)
    gaps = logits.gather(1, labels[:, None]) - logits
    ratios = gaps / (constant * lengths[labels]).clamp_min(torch.finfo(gaps.dtype).tiny)
    return ratios.scatter(1, labels[:, None], torch.inf).min(1).values
