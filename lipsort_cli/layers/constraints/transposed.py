"""Sets of transposes: column sums from row sums."""

from __future__ import annotations

from torch import Tensor

from lipsort_cli.layers.constraints.base import Constraint


class Transposed(Constraint):
    """Weights whose transpose is in ``inner``: absolute column sums at most 1 from row sums."""

    def __init__(self, inner: Constraint) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, parameter: Tensor) -> Tensor:
        weight: Tensor = self.inner(parameter)
        return weight.mT

    def right_inverse(self, weight: Tensor) -> Tensor:
        return self.inner.right_inverse(weight.mT)

    def sample(self, out_features: int, in_features: int) -> Tensor:
        return self.inner.sample(in_features, out_features).mT

    def violation(self, weight: Tensor) -> float:
        return self.inner.violation(weight.mT)

    def retract_(self, parameter: Tensor) -> None:
        self.inner.retract_(parameter)
