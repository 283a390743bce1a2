"""What every layer with a constrained weight offers to networks and optimizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConstrainedLayer(nn.Module, ABC):
    """A linear layer whose weight is a function of parameters that stay in a set.

    Optimizers move :meth:`manifold` by steepest descent on the Stiefel manifold and everything else
    by their own rule; :meth:`retract_` brings what was moved otherwise back into its set.
    """

    bias: Tensor | None

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The constrained weight, computed afresh at every access, so that it is never stale."""

    def manifold(self) -> Sequence[nn.Parameter]:
        """Parameters that are orthonormal matrices [m, n], or stacks of them [k, m, n]."""
        return ()

    @abstractmethod
    def retract_(self) -> None:
        """Bring every parameter back into its set after a step of another optimizer."""

    @abstractmethod
    def lipschitz(self, norm: str) -> float:
        """An upper bound of the layer's constant from ``norm`` (l2, linf or l1) to itself.

        Computed in binary64 from the weight as it is; what certificates claim is derived again, in
        rigorous arithmetic, from the saved weight.
        """


def unknown_norm(norm: str) -> ValueError:
    """The error for a norm that no layer has a constant in."""
    return ValueError(f"found norm {norm!r}; allowed are l2, linf and l1")


@torch.no_grad()
def matrix_norm_bound(weight: Tensor, norm: str) -> float:
    """An upper bound of the operator norm of [out, in], in binary64.

    L2: sqrt(1 + ||E||_2) with E = G - I, G the Gram matrix on the smaller side, where that is
    small, and the largest singular value otherwise; L-infinity and L1: the largest absolute row and
    column sum.
    """
    w = weight.detach().double()
    if norm == "linf":
        return float(w.abs().sum(1).max())
    if norm == "l1":
        return float(w.abs().sum(0).max())
    if norm != "l2":
        raise unknown_norm(norm)
    square = w @ w.mT if w.shape[0] <= w.shape[1] else w.mT @ w
    excess = symmetric_norm_bound(square - torch.eye(len(square), dtype=w.dtype, device=w.device))
    if excess < 1e-3:
        return float((1 + excess) ** 0.5)
    # The SVD's own error is of the order of the dimension times the rounding unit.
    return float(torch.linalg.matrix_norm(w, 2)) * (1 + 1e-14 * sum(w.shape))


def symmetric_norm_bound(square: Tensor) -> float:
    """||E||_2 <= ||E^4||_F^(1/4) of a symmetric [n, n]: above by a factor n^(1/8) at most."""
    scale = float(square.abs().max())
    if scale == 0 or not scale < float("inf"):
        return scale
    power = square / scale
    power = power @ power
    return scale * float((power @ power).norm()) ** 0.25 * (1 + 1e-12)
