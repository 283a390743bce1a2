"""The kernel distance: squared maximum mean discrepancy with a cubic kernel, without bias."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_ROWS = 512
"""Rows of the Gram matrix that are held at once."""


class Estimate(NamedTuple):
    """A value with its standard error over the draw of the samples."""

    value: float
    standard_error: float


def kernel_distance(x: Tensor, y: Tensor) -> Estimate:
    """Unbiased MMD^2 of features x [n, d] and y [m, d] with k(u, v) = (u.v / d + 1)^3.

        MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

    Its expectation is that of the populations: 0 for equal ones, so single values may be negative.
    It is the kernel of KID (Binkowski et al., "Demystifying MMD GANs", ICLR 2018); here all pairs
    are used. The standard error is the jackknife's over points of both samples, but at least that
    of two equal distributions, whose U-statistic is degenerate (Gretton et al., JMLR 2012).

    Raises:
        ValueError: fewer than two points on a side.

    Example:
        >>> same = torch.eye(3)
        >>> kernel_distance(same, same).value < 0  # i != j within, all pairs across
        True
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"kernel distance: found {n} and {m} points; at least two of each")
    within_x, _, spread_x = _sums(x, x, exclude=True)
    within_y, _, spread_y = _sums(y, y, exclude=True)
    across_x, across_y, spread_xy = _sums(x, y)
    xx, yy, xy = (float(s.sum()) for s in (within_x, within_y, across_x))
    value = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    # One point left out: its row and its column go.
    variance = 0.0
    if n > 2:
        others = (xx - 2 * within_x) / ((n - 1) * (n - 2)) - 2 * (xy - across_x) / ((n - 1) * m)
        variance += (n - 1) / n * float((others - others.mean()).square().sum())
    if m > 2:
        others = (yy - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (xy - across_y) / ((m - 1) * n)
        variance += (m - 1) / m * float((others - others.mean()).square().sum())
    # Where both distributions are equal the first order vanishes, and this is the variance.
    second = 2 * spread_x / (n * (n - 1)) + 2 * spread_y / (m * (m - 1)) + 4 * spread_xy / (n * m)
    return Estimate(value, math.sqrt(max(variance, second)))


def _sums(u: Tensor, v: Tensor, *, exclude: bool = False) -> tuple[Tensor, Tensor, float]:
    """Sums of k(u_i, v_j) over j [n] and over i [m], float64; mean square of the centred kernel.

    Centred: less its means over either argument.

    ``exclude``: v is u, and pairs of a point with itself are left out. Rows are summed in float32,
    which torch does in a tree, and their sums in float64: an error of about 1e-7 of the kernel.
    """
    squares = 0.0
    rows, columns = [], torch.zeros(len(v), dtype=torch.float64, device=v.device)
    for start in range(0, len(u), _ROWS):
        gram = u[start : start + _ROWS] @ v.T
        gram.div_(u.shape[1]).add_(1.0)
        gram = gram * gram * gram
        if exclude:
            own = torch.arange(len(gram), device=gram.device)
            gram[own, start + own] = 0.0
        rows.append(gram.sum(1).double())
        columns += gram.sum(0).double()
        squares += float(gram.square_().sum(1).double().sum())
    sums = torch.cat(rows)
    n, m = len(u) - exclude, len(v) - exclude
    mean = float(sums.sum()) / (len(u) * m)
    means = (sums / m - mean).square().mean() + (columns / n - mean).square().mean()
    return sums, columns, max(0.0, squares / (len(u) * m) - mean**2 - float(means))
