"""What the sets around the Stiefel manifold share: how they start and how they are measured."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.base import Constraint
from lipsort_cli.layers.constraints.polynomials import orthonormality_error


class WithinSpectralBall(Constraint):
    """A set whose members have spectral norm 1 at most, and start orthonormal."""

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """Haar-distributed [out, in]: every singular value starts at 1."""
        return torch.nn.init.orthogonal_(torch.empty(out_features, in_features))

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
