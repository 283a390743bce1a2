"""Parseval networks: one retraction step after every update, near-orthonormal."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.base import Constraint
from lipsort_cli.layers.constraints.polynomials import gram, multiply, orthonormality_error


class Parseval(Constraint):
    """W <- (1 + beta) W - beta W W^T W once after each step (Cisse et al., ICML 2017).

    With beta = 1/2 this is one Bjorck iteration of order 1. The set is only approached: singular
    values stay near 1, and the proven bound of a network is the product of their true maxima.
    """

    tolerance = 0.1

    def __init__(self, beta: float = 0.5) -> None:
        super().__init__()
        self.beta = beta

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """Haar-distributed [out, in]."""
        return torch.nn.init.orthogonal_(torch.empty(out_features, in_features))

    @torch.no_grad()
    def violation(self, weight: Tensor) -> float:
        """Largest absolute entry of W W^T - I (smaller side)."""
        return orthonormality_error(weight)

    @torch.no_grad()
    def retract_(self, parameter: Tensor) -> None:
        """One step towards the manifold."""
        correction = multiply(gram(parameter), parameter)
        parameter.mul_(1 + self.beta).sub_(correction, alpha=self.beta)
