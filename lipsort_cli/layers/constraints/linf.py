"""L-infinity: every row's absolute sum at most 1, so the operator norm in L-infinity is."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.base import Constraint


def project_rows_l1(weight: Tensor) -> Tensor:
    """Euclidean projection of each row of [out, in] onto the L1 ball of radius 1.

    Soft thresholding with the threshold of Duchi et al. (ICML 2008), found by sorting. The
    threshold is clamped at 0: a negative one would inflate rows that are inside already.
    """
    magnitude = weight.abs()
    ordered = magnitude.sort(dim=1, descending=True).values
    excess = ordered.cumsum(1) - 1
    rank = torch.arange(1, weight.shape[1] + 1, dtype=weight.dtype, device=weight.device)
    active = (ordered * rank > excess).sum(1, keepdim=True).clamp_min(1)
    threshold = (excess.gather(1, active - 1) / active).clamp_min(0)
    return weight.sign() * (magnitude - threshold).clamp_min(0)


class _Rows(Constraint):
    """Every row is of length at most 1."""

    order: ClassVar[float]
    """p of the lp norm that rows are measured in."""

    @torch.no_grad()
    def violation(self, weight: Tensor) -> float:
        """Largest length of a row - 1, at least 0."""
        most = float(torch.linalg.vector_norm(weight.double(), self.order, dim=1).max())
        return most if most != most else max(0.0, most - 1.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight itself, which must lie inside."""
        if not self.contains(weight, 1e-3):
            raise ValueError(
                f"found a row of L{self.order:g} norm {1 + self.violation(weight):.6g}; at most 1 "
                "has a parameter here"
            )
        return weight


class _RowSums(_Rows):
    bounds = "linf"
    order = 1


class LinfProjection(_RowSums):
    """Rows projected onto the L1 ball after every step; the parameter is the weight."""

    kept_within = 1e-2

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """Gaussian rows scaled to absolute sum 1."""
        weight = torch.randn(out_features, in_features)
        return weight / weight.abs().sum(1, keepdim=True)

    @torch.no_grad()
    def retract_(self, parameter: Tensor) -> None:
        parameter.copy_(project_rows_l1(parameter))


class LinfForward(_RowSums):
    """Rows of a free parameter projected onto the L1 ball in every forward pass: the paper's way.

    The gradient passes through the projection: a free parameter far outside still moves.
    """

    def forward(self, parameter: Tensor) -> Tensor:
        return project_rows_l1(parameter)

    sample = LinfProjection.sample


class RowsL2(_Rows):
    """Rows of L2 norm at most 1: operator norm at most 1 from L2 to L-infinity.

    With :class:`LinfForward` after it, the class that Theorem 3 of the paper proves universal.
    """

    bounds = None
    order = 2

    def forward(self, parameter: Tensor) -> Tensor:
        """Each row of [out, in] divided by its norm, where that is above 1."""
        return parameter / torch.linalg.vector_norm(parameter, dim=1, keepdim=True).clamp_min(1.0)

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """Gaussian rows scaled to norm 1."""
        return torch.nn.functional.normalize(torch.randn(out_features, in_features), dim=1)


class LinfSoftmax(_RowSums):
    """Rows as the difference of the two halves of one softmax over 2*in logits.

    w = p[:in] - p[in:] with p = softmax(parameter [out, 2 in]); every w with ||w||_1 <= 1 is
    reached. Gradient descent on the logits is mirror descent in entropy on the L1 ball. A sharp
    start (logits of standard deviation ``sharpness``, about 3 to 6) keeps rows near its surface.
    """

    def __init__(self, sharpness: float = 4.0) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, parameter: Tensor) -> Tensor:
        positive, negative = parameter.softmax(1).chunk(2, 1)
        return positive - negative

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Logits of ``weight``: the slack 1 - ||w||_1 is spread evenly over all entries."""
        weight = super().right_inverse(weight)
        slack = (1 - weight.abs().sum(1, keepdim=True)).clamp_min(0) / (2 * weight.shape[1])
        halves = torch.cat([weight.clamp_min(0) + slack, (-weight).clamp_min(0) + slack], 1)
        return halves.clamp_min(torch.finfo(weight.dtype).tiny).log()

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """The weight of Gaussian logits with standard deviation ``sharpness``."""
        return self.forward(self.sharpness * torch.randn(out_features, 2 * in_features))


def make_linf(method: str, sharpness: float) -> LinfSoftmax | LinfProjection | LinfForward:
    """The set kept by ``method``: ``softmax``, ``projection`` or ``forward``."""
    if method == "softmax":
        return LinfSoftmax(sharpness)
    return LinfProjection() if method == "projection" else LinfForward()
