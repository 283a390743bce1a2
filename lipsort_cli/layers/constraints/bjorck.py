"""Orthonormal weights by differentiable Bjorck iterations: the paper's way."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.near_orthonormal import NearOrthonormal
from lipsort_cli.layers.constraints.polynomials import (
    bjorck_step,
    polar_factor,
)


class Bjorck(NearOrthonormal):
    """W = polar factor of a free parameter, through ``iterations`` Bjorck steps of ``order``.

    The parameter is divided by sqrt(||V||_1 ||V||_inf) >= ||V||_2 first, so that the iteration
    converges from anywhere, and scaled up again by what a power iteration finds missing, so that
    few iterations suffice. Gradients pass through every iteration: the cost that the Stiefel
    optimizer avoids. Outside training the exact polar factor is taken.

    With ``loose_iterations``, training makes do with so many until ``loose_share`` of its steps are
    done, and fine-tunes with ``iterations`` from then on: the paper's way to save time. The loop
    says how far it is through :attr:`progress`.
    """

    def __init__(
        self,
        order: int = 1,
        iterations: int = 20,
        loose_iterations: int | None = None,
        loose_share: float = 0.8,
    ) -> None:
        super().__init__()
        if order not in (1, 2, 3, 4):
            raise ValueError(f"found order {order}; allowed are 1, 2, 3 and 4")
        self.order = order
        self.iterations = iterations
        self.loose_iterations = loose_iterations
        self.loose_share = loose_share
        self.progress = 1.0
        """Share of the training steps that are done; 1 outside a training loop."""

    @property
    def current_iterations(self) -> int:
        """Iterations of a forward pass in training now."""
        if self.loose_iterations is not None and self.progress < self.loose_share:
            return self.loose_iterations
        return self.iterations

    def forward(self, parameter: Tensor) -> Tensor:
        """[out, in] parameter to orthonormal [out, in]."""
        if not self.training:
            return polar_factor(parameter)
        # sigma_max <= sqrt(max column sum * max row sum); detached: a scale has no effect on the
        # polar factor, so its gradient only adds noise.
        magnitude = parameter.detach().abs()
        bound = (magnitude.sum(0).max() * magnitude.sum(1).max()).sqrt()
        x = parameter / bound.clamp_min(torch.finfo(parameter.dtype).tiny)
        x = x * self._missing_scale(x.detach())
        for _ in range(self.current_iterations):
            x = bjorck_step(x, self.order)
        return x

    @staticmethod
    def _missing_scale(x: Tensor) -> Tensor:
        """1 / sigma_max estimated from below by power iterations, kept within convergence."""
        vector = torch.full((x.shape[1],), x.shape[1] ** -0.5, dtype=x.dtype, device=x.device)
        for _ in range(5):
            image = x @ vector
            vector = x.mT @ image
            vector = vector / vector.norm().clamp_min(torch.finfo(x.dtype).tiny)
        # The estimate may be too small by a little; sqrt(3) is the limit of every order used.
        sigma = (x @ vector).norm().clamp(0.1, 1.0)
        return 1 / sigma
