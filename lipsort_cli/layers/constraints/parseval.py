"""Parseval networks: one retraction step after every update, near-orthonormal."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.base import NearOrthonormal
from lipsort_cli.layers.constraints.polynomials import gram, multiply


class Parseval(NearOrthonormal):
    """W <- (1 + beta) W - beta W W^T W once after each step (Cisse et al., ICML 2017).

    With beta = 1/2 this is one Bjorck iteration of order 1. The set is only approached: singular
    values stay near 1, and the proven bound of a network is the product of their true maxima.
    """

    tolerance = 0.1
    kept_within = 1.0

    def __init__(self, beta: float = 0.5) -> None:
        super().__init__()
        self.beta = beta

    @torch.no_grad()
    def retract_(self, parameter: Tensor) -> None:
        correction = multiply(gram(parameter), parameter)
        parameter.mul_(1 + self.beta).sub_(correction, alpha=self.beta)
