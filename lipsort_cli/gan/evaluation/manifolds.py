"""Nearest neighbours: precision and recall of a generator, and whether it repeats its data."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_NUMBERS = 2**24
"""Numbers that are held at once (64 MiB)."""

_FEW = 64
"""Coordinates up to which float64 costs little: dense points of the plane need its digits."""


class Nearest(NamedTuple):
    """Distances [n, k] to the k nearest rows, ascending, and their numbers [n, k]."""

    distances: Tensor
    rows: Tensor


def nearest(points: Tensor, others: Tensor, k: int = 1, *, exclude_self: bool = False) -> Nearest:
    """The ``k`` nearest of ``others`` [m, d] in L2 for each of ``points`` [n, d].

    ``exclude_self``: ``others`` is ``points``, and a point is no neighbour of itself (of an equal
    one it is).
    """
    points, others = _precise(points), _precise(others)
    k = min(k, len(others) - exclude_self)
    step = max(1, _NUMBERS // max(1, len(others), k * points.shape[1]))
    distances, rows = [], []
    squares = others.square().sum(1)
    for start in range(0, len(points), step):
        block = points[start : start + step]
        # One matrix product; what it rounds is removed below for the few that are returned.
        squared = torch.addmm(squares[None, :], block, others.T, alpha=-2.0)
        if exclude_self:
            own = torch.arange(len(block), device=squared.device)
            squared[own, start + own] = torch.inf
        found = squared.topk(k, dim=1, largest=False).indices
        exact: Tensor = (block[:, None] - others[found]).norm(dim=2)
        order = exact.argsort(dim=1, stable=True)
        distances.append(exact.gather(1, order))
        rows.append(found.gather(1, order))
    return Nearest(torch.cat(distances), torch.cat(rows))


def coverage(points: Tensor, manifold: Tensor, radii: Tensor) -> float:
    """Share of ``points`` [n, d] within ``radii`` [m] of some point of ``manifold`` [m, d]."""
    points, manifold, radii = _precise(points), _precise(manifold), radii.to(_dtype(points))
    step = max(1, _NUMBERS // max(1, len(manifold)))
    # ||p - q||^2 <= r^2, with a margin for the product's rounding: points that lie on a sphere
    # exactly, such as copies, are inside.
    squares = manifold.square().sum(1)
    limit = radii.square() - squares
    inside = 0
    for block in points.split(step):
        own = block.square().sum(1, keepdim=True)
        slack = 16 * torch.finfo(points.dtype).eps * (own + squares[None, :])
        squared = torch.addmm(own.expand(-1, len(manifold)), block, manifold.T, alpha=-2.0)
        inside += int((squared <= limit[None, :] + slack).any(1).sum())
    return inside / len(points)


def _dtype(points: Tensor) -> torch.dtype:
    return torch.float64 if points.shape[1] <= _FEW else torch.float32


def _precise(points: Tensor) -> Tensor:
    return points.to(_dtype(points))


class Manifolds(NamedTuple):
    """``precision``: share of generated points within the data's manifold. ``recall``: of data."""

    precision: float
    recall: float


def precision_recall(generated: Tensor, data: Tensor, k: int = 3) -> Manifolds:
    """Improved precision and recall of ``generated`` [n, d] against ``data`` [m, d].

    The manifold of a sample is the union of balls about its points, each reaching to its k-th
    nearest neighbour within the sample. Precision is how much of what is generated is like data,
    recall how much of the data could have been generated (Kynkaanniemi et al., NeurIPS 2019).

    Raises:
        ValueError: no more than ``k`` points on a side.

    Example:
        >>> cloud = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> precision_recall(cloud, cloud)
        Manifolds(precision=1.0, recall=1.0)
        >>> precision_recall(cloud + 100, cloud)
        Manifolds(precision=0.0, recall=0.0)
    """
    if min(len(generated), len(data)) <= k:
        raise ValueError(
            f"precision and recall: found {len(generated)} and {len(data)} points; more than "
            f"{k} neighbours of each are needed"
        )
    # About the data's middle, distances lose least to rounding.
    middle = data.mean(0)
    generated, data = generated - middle, data - middle
    of_data = nearest(data, data, k, exclude_self=True).distances[:, -1]
    of_generated = nearest(generated, generated, k, exclude_self=True).distances[:, -1]
    return Manifolds(coverage(generated, data, of_data), coverage(data, generated, of_generated))
