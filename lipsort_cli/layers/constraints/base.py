"""What every constraint set offers, and what the sets around the Stiefel manifold share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from lipsort_cli.layers.constraints.polynomials import orthonormality_error


def haar(*shape: int) -> Tensor:
    """Haar-distributed matrices [..., m, n]: every singular value is 1; torch's global generator.

    One after the other, as if each were drawn alone.
    """
    found = torch.empty(shape)
    for one in found.view(-1, *shape[-2:]):
        nn.init.orthogonal_(one)
    return found


class Constraint(nn.Module, ABC):
    """A set of weights [out, in], and a parameter that represents its members.

    The five members are the same for every set: :meth:`forward` maps the parameter to the weight,
    :meth:`right_inverse` finds a parameter of a given weight, :meth:`sample` draws a first weight,
    :meth:`violation` measures how far outside a weight is, and :meth:`retract_` brings a parameter
    back after an optimizer's step.
    """

    tolerance: ClassVar[float] = 1e-5
    """Violation that float32 training may leave."""
    bounds: ClassVar[str | None] = "l2"
    """The norm, l2 or linf, in which a member's operator norm is at most 1; None: in no norm."""
    stiefel: ClassVar[bool] = False
    """The parameter is itself a point of the Stiefel manifold."""
    kept_within: ClassVar[float | None] = None
    """Violation above which a parameter is not kept in the set; None where every one will do."""

    def forward(self, parameter: Tensor) -> Tensor:
        """The constrained weight [out, in] of a parameter; differentiable."""
        return parameter

    def right_inverse(self, weight: Tensor) -> Tensor:
        """A parameter whose weight is ``weight`` [out, in]."""
        return weight

    @abstractmethod
    def sample(self, out_features: int, in_features: int) -> Tensor:
        """A first weight [out, in], drawn with torch's global generator."""

    @torch.no_grad()
    def violation(self, weight: Tensor) -> float:
        """Distance measure from the set, 0 inside; computed in binary64."""
        return 0.0

    def contains(self, weight: Tensor, tolerance: float | None = None) -> bool:
        """Whether ``weight`` [out, in] is in the set up to ``tolerance``. NaN is not.

        Where a weight holds no numbers (torch's device ``meta``), it is taken to be.
        """
        limit = self.tolerance if tolerance is None else tolerance
        return weight.is_meta or self.violation(weight) <= limit

    @torch.no_grad()
    def retract_(self, parameter: Tensor) -> None:
        """Bring a parameter back into the set after a step, in place."""


class WithinSpectralBall(Constraint):
    """A set whose members have spectral norm 1 at most, and start orthonormal."""

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """Haar-distributed [out, in]: every singular value starts at 1."""
        return haar(out_features, in_features)

    @torch.no_grad()
    def violation(self, weight: Tensor) -> float:
        """sigma_max - 1, at least 0."""
        if not bool(torch.isfinite(weight).all()):
            return float("nan")
        return max(0.0, float(torch.linalg.matrix_norm(weight.double(), 2)) - 1.0)


class NearOrthonormal(WithinSpectralBall):
    """A set whose members are orthonormal, exactly or nearly."""

    @torch.no_grad()
    def violation(self, weight: Tensor) -> float:
        """Largest absolute entry of W W^T - I (smaller side)."""
        return orthonormality_error(weight)
