"""The dense layer with a constrained weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import instance, truth
from lipsort_cli.devices import without_autocast
from lipsort_cli.layers.base import ConstrainedLayer, check_features, matrix_norm_bound, misfit
from lipsort_cli.layers.constraints import Constraint, Orthonormal


class Dense(ConstrainedLayer):
    """y = x W^T + b with W in a constraint set.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        bias: whether b is there; it starts at 0.
        constraint: the set; :class:`Orthonormal` where none is given. Its parameter is
            :attr:`parameter`, its weight :attr:`weight`, computed afresh at every access, so that
            it is never stale.

    Shapes: [..., in] to [..., out]; another one raises ArgumentError.

    Example:
        >>> layer = Dense(4, 2)
        >>> bool(torch.linalg.matrix_norm(layer.weight, 2) < 1 + 1e-5)
        True
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        constraint: Constraint | None = None,
    ) -> None:
        super().__init__()
        check_features(in_features, out_features)
        self.in_features, self.out_features = in_features, out_features
        truth("bias", bias)
        self.constraint = Orthonormal() if constraint is None else constraint
        instance("constraint", self.constraint, Constraint, "one of lipsort_cli.layers.constraints")
        with torch.no_grad():
            weight = self.constraint.sample(out_features, in_features)
            self.parameter = nn.Parameter(self.constraint.right_inverse(weight).clone())
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    @property
    def weight(self) -> Tensor:
        """The constrained weight [out, in]."""
        # A constraint holds to the accuracy it is computed in: never in autocast's.
        with without_autocast(next(self.parameters()).device):
            weight: Tensor = self.constraint(self.parameter)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1:] != (self.in_features,):
            raise misfit(x, f"[..., {self.in_features}]")
        return nn.functional.linear(x, self.weight, self.bias)

    def constrained(self) -> Sequence[tuple[Constraint, nn.Parameter]]:
        return ((self.constraint, self.parameter),)

    def lipschitz(self, norm: str) -> float:
        return matrix_norm_bound(self.weight, norm)

    def sizes(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
