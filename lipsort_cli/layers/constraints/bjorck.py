"""Orthonormal weights by differentiable Bjorck iterations: the paper's way."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.base import NearOrthonormal
from lipsort_cli.layers.constraints.polynomials import bjorck_step, gram, polar_factor


class Bjorck(NearOrthonormal):
    """W = polar factor of a free parameter, through ``iterations`` Bjorck steps of ``order``.

    The parameter is divided by sqrt(||V||_1 ||V||_inf) >= ||V||_2 first, and scaled up again by
    what a power iteration finds missing, so that few iterations suffice. That iteration may find
    too little; an upper bound of the largest singular value keeps it below ``LIMIT``, from where
    every order converges (:func:`.polynomials.bjorck_step`). Gradients pass through every
    iteration: the cost that the Stiefel optimizer avoids. Outside training the exact polar factor
    is taken.

    ``scaling="size"`` divides by sqrt(out * in) instead, as the authors' code does, and outside
    training takes the same iterations: singular values start at 1 / sqrt(out * in) of what they
    are, grow by 3/2 an iteration, and stay below 1 where that is too few.

    With ``loose_iterations``, training makes do with so many until ``loose_share`` of its steps are
    done, and fine-tunes with ``iterations`` from then on: the paper's way to save time. The loop
    says how far it is through :attr:`progress`.
    """

    LIMIT = 1.35
    """Singular value that no scaled parameter exceeds."""

    def __init__(
        self,
        order: int = 1,
        iterations: int = 20,
        loose_iterations: int | None = None,
        loose_share: float = 0.8,
        scaling: str = "norm",
    ) -> None:
        super().__init__()
        if order not in (1, 2, 3, 4):
            raise ValueError(f"found order {order}; allowed are 1, 2, 3 and 4")
        self.order, self.iterations, self.scaling = order, iterations, scaling
        self.loose_iterations, self.loose_share = loose_iterations, loose_share
        self.progress = 1.0
        """Share of the training steps that are done; 1 outside a training loop."""

    @property
    def current_iterations(self) -> int:
        """Iterations of a forward pass in training now."""
        if self.loose_iterations is not None and self.progress < self.loose_share:
            return self.loose_iterations
        return self.iterations

    def forward(self, parameter: Tensor) -> Tensor:
        if self.scaling == "size":
            # At least the largest singular value while no entry exceeds 1, which nothing ensures.
            x = parameter / (parameter.numel() ** 0.5)
            return self._iterated(x, self.current_iterations if self.training else self.iterations)
        if not self.training:
            return polar_factor(parameter)
        # sigma_max <= sqrt(max column sum * max row sum); detached: a scale has no effect on the
        # polar factor, so its gradient only adds noise.
        magnitude = parameter.detach().abs()
        # A power of two first, exactly: no sum below under- or overflows.
        exponent = torch.frexp(magnitude.max()).exponent
        parameter, magnitude = (torch.ldexp(p, -exponent) for p in (parameter, magnitude))
        bound = (magnitude.sum(0).max() * magnitude.sum(1).max()).sqrt()
        x = parameter / bound.clamp_min(torch.finfo(parameter.dtype).tiny)
        x = x * self._missing_scale(x.detach())
        return self._iterated(x, self.current_iterations)

    def _iterated(self, x: Tensor, iterations: int) -> Tensor:
        for _ in range(iterations):
            x = bjorck_step(x, self.order)
        return x

    @classmethod
    def _missing_scale(cls, x: Tensor) -> Tensor:
        """1 / sigma_max by power iterations, at most 10 and ``LIMIT`` / an upper bound of it."""
        vector = torch.full((x.shape[1],), x.shape[1] ** -0.5, dtype=x.dtype, device=x.device)
        for _ in range(5):
            image = x @ vector
            vector = x.mT @ image
            vector = vector / vector.norm().clamp_min(torch.finfo(x.dtype).tiny)
        estimate = (x @ vector).norm().clamp(0.1, 1.0)
        # A start that misses the leading vector would scale past convergence: ||G^8||_F^(1/16) is
        # sigma_max or more, by a factor n^(1/32) at most, which LIMIT leaves room for.
        power = gram(x)
        for _ in range(3):
            power = power @ power
        bound = power.norm() ** (1 / 16)
        return torch.minimum(1 / estimate, cls.LIMIT / bound)
