"""The McShane-Whitney extension: a potential that takes given values at given points.

Whatever a 1-Lipschitz function does on finitely many points, ``max_j (b_j - ||x - c_j||)`` does the
same there and is 1-Lipschitz everywhere (McShane, "Extension of range of functions", 1934;
Whitney, 1934): each term is, and a maximum keeps the constant.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CANDIDATES = 4
_BLOCK = 2**25
"""Scores formed at a time; 128 MiB of float32."""


class Extension(nn.Module):
    """f(x) = max_j (b_j - ||x - c_j||_2): 1-Lipschitz in L2 whatever centres and biases are.

    Args:
        centres: c, float32 [n, in]; a buffer, not trained.
        unit: biases are ``unit`` times the parameter, so that optimizers see numbers of size 1.

    Shapes: [N, in] to [N, 1].

    The centre is looked for with one matrix product, whose rounding may mistake a centre for
    another of nearly the same value; the few best are then evaluated as written above. So the
    value is that of one centre, and at most the maximum.

    Errors: ValueError for centres that are no finite matrix.

    Example:
        >>> f = Extension(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        >>> f(torch.tensor([[0.0, 1.0]])).item()
        -1.0
    """

    centres: Tensor

    def __init__(self, centres: Tensor, unit: float = 1.0) -> None:
        super().__init__()
        if centres.dim() != 2 or 0 in centres.shape or not bool(torch.isfinite(centres).all()):
            raise ValueError(
                f"found centres of shape {list(centres.shape)}; finite numbers [n, in] are needed"
            )
        self.in_features = centres.shape[1]
        self.unit = float(unit)
        self.register_buffer("centres", centres.detach().to(torch.float32).clone())
        self.parameter = nn.Parameter(torch.zeros(len(centres)))

    @property
    def bias(self) -> Tensor:
        """b [n]."""
        return self.parameter * self.unit

    @torch.no_grad()
    def set_bias_(self, bias: Tensor) -> None:
        """Make ``bias`` [n] the biases, as closely as float32 holds them."""
        self.parameter.copy_(bias / self.unit)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] to [N, 1]."""
        with torch.autocast(x.device.type, enabled=False):
            rows = max(1, _BLOCK // len(self.centres))
            parts = [self._values(part) for part in x.float().split(rows)]
        return torch.cat(parts)

    def _values(self, x: Tensor) -> Tensor:
        chosen = self._candidates(x)
        distances = torch.linalg.vector_norm(x[:, None] - self.centres[chosen], dim=2)
        return (self.bias[chosen] - distances).max(1, keepdim=True).values

    @torch.no_grad()
    def _candidates(self, x: Tensor) -> Tensor:
        """Indices [N, k] of the centres that may attain the maximum."""
        # About the centres' mean, or points far from the origin would lose every digit.
        middle = self.centres.mean(0)
        x, centres = x - middle, self.centres - middle
        squares = (x * x).sum(1, keepdim=True) + (centres * centres).sum(1)
        scores = self.bias - torch.addmm(squares, x, centres.T, alpha=-2).clamp_min(0).sqrt()
        return scores.topk(min(_CANDIDATES, len(self.centres)), dim=1).indices

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"{self.in_features}, centres={len(self.centres)}"
