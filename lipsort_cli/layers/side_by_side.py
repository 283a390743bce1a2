"""Dense layers of several networks side by side, as one dense layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lipsort_cli.layers.constraints import Constraint, Orthonormal
from lipsort_cli.layers.constraints.base import haar
from lipsort_cli.layers.dense import Dense


class SideBySide(Dense):
    """K orthonormal layers W_k [out, in] at once, in one of three ``places`` of K equal networks.

    ``first``: all see the same input, [..., in] to [..., K out] with the weight [W_1; ...; W_K] /
    sqrt(K). ``middle``: each has its own features, and the weight is block-diagonal. ``last``: the
    weight is [W_1, ..., W_K] / sqrt(K), so that what comes out, [..., out], is the mean of what the
    K networks give, both factors together being 1 / K. Each of the three weights has norm 1 at most
    in L2, as the sum of W_k W_k^T or W_k^T W_k over K has: the mean of K networks is one network of
    the same constant.

    Between the first and the last layer may stand whatever commutes with positive factors and keeps
    members apart, such as MaxMin; biases are those of the networks over sqrt(K).

    Example:
        >>> layer = SideBySide(3, 4, 2, "first")
        >>> layer(torch.ones(5, 4)).shape
        torch.Size([5, 6])
    """

    def __init__(
        self, members: int, in_features: int, out_features: int, place: str, bias: bool = True
    ) -> None:
        # The constructor of one dense layer would draw a weight of the whole's size.
        nn.Module.__init__(self)
        self.members, self.place = members, place
        self.in_features = in_features * (1 if place == "first" else members)
        self.out_features = out_features * (1 if place == "last" else members)
        self.constraint: Constraint = Orthonormal()
        self.parameter = nn.Parameter(haar(members, out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(self.out_features)) if bias else None

    @property
    def weight(self) -> Tensor:
        """The whole weight [out_features, in_features]."""
        if self.place == "middle":
            return torch.block_diag(*self.parameter)
        dim = 0 if self.place == "first" else 1
        return torch.cat(list(self.parameter), dim) / math.sqrt(self.members)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]; in training without the blocks of zeros."""
        if self.place != "middle" or not self.training:
            return nn.functional.linear(x, self.weight, self.bias)
        found = self._of_each(x).movedim(0, -2).flatten(-2)
        return found if self.bias is None else found + self.bias

    def _of_each(self, x: Tensor) -> Tensor:
        """[..., K in] to [K, ..., out]: each member's own part, without bias."""
        parts = x.unflatten(-1, (self.members, -1)).movedim(-2, 0)
        return parts @ self.parameter.mT

    def apart(self, x: Tensor) -> Tensor:
        """What each of the K networks gives, of the last layer: [N, K in] to [K, N, out]."""
        found = self._of_each(x) * math.sqrt(self.members)
        return found if self.bias is None else found + self.bias

    def constrained(self) -> Sequence[tuple[Constraint, nn.Parameter]]:
        """The stack [K, out, in], each member in its set."""
        return ((self.constraint, self.parameter),)
