"""The McShane-Whitney extension: a potential that takes given values at given points.

Whatever a 1-Lipschitz function does on finitely many points, ``max_j (b_j - ||x - c_j||)`` does the
same there and is 1-Lipschitz everywhere (McShane, "Extension of range of functions", 1934;
Whitney, 1934): each term is, and a maximum keeps the constant.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import shown
from lipsort_cli.devices import reads_freely, without_autocast
from lipsort_cli.errors import ArgumentError

_CANDIDATES = 4
_BLOCK = 2**24
"""Scores formed at a time; 128 MiB of float64."""


class Extension(nn.Module):
    """f(x) = max_j (b_j - ||x - c_j||_2): 1-Lipschitz in L2 whatever centres and biases are.

    Args:
        centres: c, float32 [n, in]; a buffer, not trained.
        unit: biases are ``unit`` times the parameter, so that optimizers see numbers of size 1.

    Shapes: [N, in] to [N, 1].

    The centre is looked for with one matrix product, and the few best are then evaluated as
    written above. Where the product's error bound leaves room for any other centre, all are: so
    the value is the maximum, but for the rounding of the formula itself, at any magnitude. Training
    makes do with the few best where asking for that room would wait for the device.

    Errors: ArgumentError for centres that are no finite matrix.

    Example:
        >>> f = Extension(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        >>> f(torch.tensor([[0.0, 1.0]])).item()
        -1.0
    """

    centres: Tensor

    def __init__(self, centres: Tensor, unit: float = 1.0) -> None:
        super().__init__()
        known = isinstance(centres, Tensor) and centres.dim() == 2 and 0 not in centres.shape
        if not known or not bool(torch.isfinite(centres).all()):
            raise ArgumentError(
                f"centres: found {shown(centres)}; allowed: a tensor [n, in] of finite numbers"
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
        with without_autocast(x.device):
            x = x.to(self.centres.dtype)
            if torch.compiler.is_compiling():  # no choice that depends on values can be exported
                return self._all(x)
            rows = max(1, _BLOCK // len(self.centres))
            parts = [self._values(part) for part in x.split(rows)]
        return torch.cat(parts)

    def _values(self, x: Tensor) -> Tensor:
        chosen, others = self._candidates(x)
        distances = torch.linalg.vector_norm(x[:, None] - self.centres[chosen], dim=2)
        best = (self.bias[chosen] - distances).max(1, keepdim=True).values
        if self.training and not reads_freely(x.device):
            return best
        doubtful = (~(best.detach() >= others)).nonzero()[:, 0]  # NaN is doubtful
        return best.index_copy(0, doubtful, self._all(x[doubtful])) if len(doubtful) else best

    def _all(self, x: Tensor) -> Tensor:
        """Every centre as the formula is written: no product of matrices."""
        distances = torch.cdist(x, self.centres, compute_mode="donot_use_mm_for_euclid_dist")
        return (self.bias - distances).max(1, keepdim=True).values

    @torch.no_grad()
    def _candidates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest centres [N, k], and what no other one exceeds [N, 1].

        ||x - c||^2 = ||x||^2 + ||c||^2 - 2 x c about the centres' mean, or points far from the
        origin would lose every digit. With unit roundoff u and reach r = ||x|| + ||c||, the three
        sums of n products, the shift and what combines them err by at most gamma(2 n + 32) r^2.
        """
        # Half the digits are lost in the root of a small square; float64 has them.
        wide = torch.float32 if x.device.type == "mps" else torch.float64
        unit, tiny = torch.finfo(wide).eps / 2, torch.finfo(wide).tiny
        x, centres, bias = x.to(wide), self.centres.to(wide), self.bias.to(wide)
        middle = centres.mean(0)
        x, centres = x - middle, centres - middle
        squares, radii = (x * x).sum(1, keepdim=True), (centres * centres).sum(1)
        terms = 2 * self.in_features + 32
        lost = squares.sqrt().add(radii.sqrt()).square_().mul_(2 * terms * unit).add_(terms * tiny)
        square = torch.addmm(squares + radii, x, centres.T, alpha=-2)
        most = square.sub_(lost).clamp_min_(0).sqrt_().neg_().mul_(1 - 16 * unit).add_(bias)
        most += 16 * unit * most.abs() + 16 * unit * bias.abs()
        count = min(_CANDIDATES, len(centres))
        likely = most.topk(min(count + 1, len(centres)), dim=1)
        others = likely.values[:, count:]
        if not others.shape[1]:
            others = torch.full_like(squares, -torch.inf)
        return likely.indices[:, :count], others

    def extra_repr(self) -> str:
        return f"{self.in_features}, centres={len(self.centres)}"
