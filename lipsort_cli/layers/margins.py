"""By how much logits decide for a class."""

from __future__ import annotations

import torch
from torch import Tensor


def worst_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """f_y - max_{j != y} f_j of each example: [N, C], [N] to [N]."""
    true = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    # max with indices gives a tie's whole gradient to one class.
    return true[:, 0] - others.max(1).values
