"""No constraint: the plain network that everything is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.base import Constraint


class Unconstrained(Constraint):
    """Any weight [out, in]."""

    bounds = None

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """Uniform in +-sqrt(6 / in) (He et al. 2015)."""
        weight = torch.empty(out_features, in_features)
        return torch.nn.init.kaiming_uniform_(weight, nonlinearity="relu")

    @torch.no_grad()
    def violation(self, weight: Tensor) -> float:
        return 0.0 if bool(torch.isfinite(weight).all()) else float("nan")
