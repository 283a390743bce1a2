"""What the sets around the Stiefel manifold share: how they start and how they are measured."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.base import Constraint
from lipsort_cli.layers.constraints.polynomials import orthonormality_error


class NearOrthonormal(Constraint):
    """A set whose members are orthonormal, exactly or nearly."""

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """Haar-distributed [out, in]."""
        return torch.nn.init.orthogonal_(torch.empty(out_features, in_features))

    @torch.no_grad()
    def violation(self, weight: Tensor) -> float:
        """Largest absolute entry of W W^T - I (smaller side)."""
        return orthonormality_error(weight)
