"""Orthonormal rows or columns, whichever are fewer: the Stiefel manifold."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.devices import reads_freely
from lipsort_cli.layers.constraints.base import NearOrthonormal
from lipsort_cli.layers.constraints.polar import settled
from lipsort_cli.layers.constraints.polynomials import polar_factor


class Orthonormal(NearOrthonormal):
    """W W^T = I (out <= in) or W^T W = I: every singular value is 1.

    The layer keeps the norm of the gradient that passes back through it when out <= in, and
    is 1-Lipschitz in L2 always. The parameter is the weight itself, kept on the manifold by
    :func:`lipsort_cli.optim.build_optimizer` or :func:`lipsort_cli.optim.keep_constraints`.
    """

    stiefel = True
    kept_within = 1e-2

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight itself, which must be orthonormal."""
        if not self.contains(weight, 1e-3):
            raise ValueError(
                f"found a weight {tuple(weight.shape)} with orthonormality error "
                f"{self.violation(weight):.3g}; only orthonormal weights (error at most 1e-3) "
                "have a parameter here"
            )
        return weight

    @torch.no_grad()
    def retract_(self, parameter: Tensor) -> None:
        """Replace by the polar factor: the nearest point of the manifold."""
        nearest = polar_factor if reads_freely(parameter.device) else settled
        parameter.copy_(nearest(parameter))
