"""Spectral normalisation: largest singular value 1, or at most 1."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.devices import sent
from lipsort_cli.layers.constraints.base import WithinSpectralBall


class Spectral(WithinSpectralBall):
    """W = V / sigma_max(V) of a free parameter V (Miyato et al., ICLR 2018).

    While training, sigma_max comes from warm-started power iteration, which underestimates: W may
    exceed the ball a little, and no bound is ever taken from it. Outside training sigma_max is
    computed by an SVD in binary64 and W is inside to rounding.
    """

    vector: Tensor
    least = float(torch.finfo(torch.float32).tiny)
    """What a largest singular value counts as at least: here only 0 counts as more."""

    def __init__(self, iterations: int = 1) -> None:
        super().__init__()
        self.iterations = iterations
        self.register_buffer("vector", torch.empty(0))

    def forward(self, parameter: Tensor) -> Tensor:
        if not self.training:
            sigma = torch.linalg.matrix_norm(parameter.double(), 2)
            return parameter / sigma.clamp_min(self.least).to(parameter.dtype)
        with torch.no_grad():
            if self.vector.numel() != parameter.shape[1]:
                # A fixed start keeps construction free of random draws; dense, so never
                # orthogonal to the leading direction in practice.
                start = torch.linspace(1.0, 2.0, parameter.shape[1], dtype=parameter.dtype)
                self.vector = sent(start / start.norm(), parameter.device)
            right = self.vector
            for _ in range(self.iterations):
                left = torch.nn.functional.normalize(parameter @ right, dim=0)
                right = torch.nn.functional.normalize(parameter.mT @ left, dim=0)
            self.vector = right.clone()
            left = torch.nn.functional.normalize(parameter @ right, dim=0)
        sigma = left @ (parameter @ right)
        return parameter / sigma.clamp_min(self.least)

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):  # type: ignore[no-untyped-def]
        # The vector is sized at the first forward; take whatever size was saved.
        saved = state_dict.get(prefix + "vector")
        if saved is not None:
            self.vector = torch.empty_like(saved)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight itself, whose norm must be one that the set has."""
        norm = float(torch.linalg.matrix_norm(weight.double(), 2))
        if not (1 - 1e-3 if self.least < 1 else 0) <= norm <= 1 + 1e-3:
            allowed = "1" if self.least < 1 else "at most 1"
            raise ValueError(f"found a weight of spectral norm {norm:.6g}; allowed: {allowed}")
        return weight


class SpectralBall(Spectral):
    """W = V / max(1, sigma_max(V)): what is inside the ball already stays as it is."""

    least = 1.0
