"""Whether a generator makes all classes, and in the shares that the data have."""

from __future__ import annotations

import torch
from torch import Tensor

_COVERED = 0.1
"""Share of a class relative to its share of the data from which on it counts as covered."""


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Share of each of ``classes`` among labels [n], float64 [classes]."""
    return torch.bincount(labels, minlength=classes).double() / max(1, len(labels))


def imbalance(shares: Tensor, reference: Tensor) -> float:
    """Total variation distance of two rows of shares: 0 for equal ones, 1 for disjoint ones."""
    return float((shares - reference).abs().sum()) / 2


def covered(shares: Tensor, reference: Tensor) -> int:
    """Classes of the data that have at least a tenth of the share that they have there.

    Example:
        >>> covered(torch.tensor([0.96, 0.04, 0.0]), torch.tensor([0.5, 0.25, 0.25]))
        2
    """
    return int(((shares >= _COVERED * reference) & (reference > 0)).sum())
