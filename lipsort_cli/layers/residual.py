"""Layers made of other layers, with constants that follow from theirs."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import listed, real
from lipsort_cli.errors import ArgumentError
from lipsort_cli.layers.base import in_norm
from lipsort_cli.layers.constants import lipschitz_constant

_MODULES = "a list of modules"


class Residual(nn.Module):
    """y = (1 - a) x + a f(x), a in (0, 1) learnt: constant at most (1 - a) + a L_f.

    With a 1-Lipschitz f the sum is 1-Lipschitz, whatever a is: a plain x + f(x) would have constant
    2, and twenty of them a million.

    Args:
        layers: f, which keeps the shape.
        branch: first value of a.
        learnt: whether a is a parameter; it is fixed otherwise.
    """

    logit: Tensor

    def __init__(
        self, layers: Iterable[nn.Module], branch: float = 0.5, learnt: bool = True
    ) -> None:
        super().__init__()
        branch = real("branch", branch, "above 0 and below 1", lambda value: 0 < value < 1)
        self.layers = nn.Sequential(*listed("layers", layers, nn.Module, _MODULES))
        start = torch.tensor(math.log(branch / (1 - branch)), dtype=torch.float32)
        if learnt:
            self.logit = nn.Parameter(start)
        else:
            self.register_buffer("logit", start)

    @property
    def branch(self) -> Tensor:
        """a, the weight of f."""
        return self.logit.sigmoid()

    @property
    def skip(self) -> Tensor:
        """1 - a, the weight of x."""
        return 1 - self.branch

    def forward(self, x: Tensor) -> Tensor:
        return self.skip * x + self.branch * self.layers(x)

    def lipschitz(self, norm: str) -> float:
        inner = lipschitz_constant(self.layers, norm)
        return abs(float(self.skip.detach())) + abs(float(self.branch.detach())) * inner


class Branches(nn.Module):
    """Layers side by side, all of the same input; an empty branch is the identity."""

    def __init__(self, branches: Iterable[Iterable[nn.Module]]) -> None:
        super().__init__()
        chains = listed("branches", branches, Iterable, f"lists, each of them {_MODULES}")
        self.branches = nn.ModuleList(
            nn.Sequential(*listed("branches", chain, nn.Module, _MODULES)) for chain in chains
        )
        if len(self.branches) == 0:
            raise ArgumentError("branches: found []; allowed: at least one")

    def constants(self, norm: str) -> list[float]:
        """Of each branch, from ``norm`` to itself."""
        return [lipschitz_constant(branch, norm) for branch in self.branches]


class Sum(Branches):
    """y = f_1(x) + f_2(x) + ...: constant at most the sum of theirs; an empty branch is x."""

    def forward(self, x: Tensor) -> Tensor:
        first, *others = (branch(x) for branch in self.branches)
        for other in others:
            first = first + other
        return first

    def lipschitz(self, norm: str) -> float:
        return math.fsum(self.constants(norm))


class Concatenate(Branches):
    """y = (f_1(x), f_2(x), ...) along the channel or feature axis.

    Constant sqrt(sum L_k^2) in L2, max L_k in L-infinity, sum L_k in L1. An empty branch is the
    identity.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, ...] to [N, sum of the branches' channels, ...]."""
        return torch.cat([branch(x) for branch in self.branches], 1)

    def lipschitz(self, norm: str) -> float:
        constants = self.constants(norm)
        return in_norm(
            norm, l2=math.hypot(*constants), linf=max(constants), l1=math.fsum(constants)
        )
