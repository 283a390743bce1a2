"""Networks over the rational numbers: weights, values and norms without rounding.

Every float is a rational number, so whatever is checked here of a network's weights holds of the
saved network as well, and an equality that holds here is an identity, no coincidence of rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
from torch import nn

from lipsort_cli.console import plural
from lipsort_cli.layers import AbsoluteValue, Dense, GroupSort
from lipsort_cli.layers.constraints import Unconstrained
from lipsort_cli.zoo.network import Network

Vector = list[Fraction]
Matrix = list[Vector]
Kind = Literal["sort", "absolute_value", "relu"]


@dataclass(frozen=True)
class Affine:
    """x to W x + b: ``weight`` [out, in], ``bias`` [out]."""

    weight: Matrix
    bias: Vector

    @property
    def width(self) -> int:
        """Outputs."""
        return len(self.weight)

    def __call__(self, x: Vector) -> Vector:
        """[in] to [out]."""
        return [
            sum((w * v for w, v in zip(row, x, strict=True) if w), b)
            for row, b in zip(self.weight, self.bias, strict=True)
        ]


@dataclass(frozen=True)
class Select:
    """Component ``indices[i]`` of ``inputs`` becomes output i: a matrix with one 1 in each row."""

    indices: tuple[int, ...]
    inputs: int

    @property
    def width(self) -> int:
        """Outputs."""
        return len(self.indices)

    def __call__(self, x: Vector) -> Vector:
        """[inputs] to [len(indices)]."""
        return [x[i] for i in self.indices]


@dataclass(frozen=True)
class Activation:
    """Sorting of contiguous groups of ``size``, ascending; or an elementwise function."""

    kind: Kind
    size: int = 1

    def __call__(self, x: Vector) -> Vector:
        """[n] to [n]."""
        if self.kind == "absolute_value":
            return [abs(v) for v in x]
        if self.kind == "relu":
            return [max(v, Fraction(0)) for v in x]
        if len(x) % self.size:
            raise ValueError(f"found {plural(len(x), 'feature')} for groups of {self.size}")
        parts = (x[i : i + self.size] for i in range(0, len(x), self.size))
        return [v for part in parts for v in sorted(part)]


Layer = Affine | Select | Activation


@dataclass(frozen=True)
class ExactNetwork:
    """Layers one after the other; ``inputs`` numbers go in.

    ``bound``: the identity that it stands for holds where every input is within +-bound; None:
    everywhere.
    """

    layers: tuple[Layer, ...]
    inputs: int
    bound: Fraction | None = None

    def __call__(self, x: Sequence[Fraction | int]) -> Vector:
        """Outputs at x [inputs], exactly."""
        values = [Fraction(v) for v in x]
        if len(values) != self.inputs:
            raise ValueError(
                f"found {len(values)}; the network takes {plural(self.inputs, 'input')}"
            )
        for layer in self.layers:
            values = layer(values)
        return values

    def constrained(self, norm: str) -> bool:
        """Whether every linear layer has operator norm at most 1 from ``norm`` to itself (exact).

        ``l2``, ``linf`` or ``l1``. Activations have it in each of them.
        """
        return all(
            norm_at_most_one(layer, norm)
            for layer in self.layers
            if not isinstance(layer, Activation)
        )

    def mixed(self, norm: str) -> bool:
        """Whether it is in the class of the paper's Theorem 3 (exact): 1-Lipschitz from ``norm``.

        The first layer has norm at most 1 from ``norm`` to L-infinity, which is the largest dual
        norm of a row; all others from L-infinity to itself.
        """
        first, *rest = [layer for layer in self.layers if not isinstance(layer, Activation)]
        assert isinstance(first, Affine)
        return all(dual_norm_at_most_one(row, norm) for row in first.weight) and all(
            norm_at_most_one(layer, "linf") for layer in rest
        )

    def network(self) -> Network:
        """The same in float32, as any network of the zoo: saved, certified, exported."""
        modules: list[nn.Module] = []
        width = self.inputs
        for layer in self.layers:
            if isinstance(layer, Activation):
                modules.append(_activation(layer))
                continue
            dense = Dense(width, layer.width, True, Unconstrained())
            assert dense.bias is not None
            with torch.no_grad():
                weight, bias = _floats(layer, width)
                dense.parameter.copy_(weight)
                dense.bias.copy_(bias)
            modules.append(dense)
            width = layer.width
        return Network(modules, [self.inputs], width)


def _activation(layer: Activation) -> nn.Module:
    match layer.kind:
        case "sort":
            return GroupSort(layer.size)
        case "absolute_value":
            return AbsoluteValue()
        case "relu":
            return nn.ReLU()


def _floats(layer: Affine | Select, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(layer, Select):
        weight = torch.zeros(layer.width, width)
        weight[torch.arange(layer.width), torch.tensor(layer.indices)] = 1.0
        return weight, torch.zeros(layer.width)
    rows = [[inward(value) for value in row] for row in layer.weight]
    return torch.tensor(rows), torch.tensor([float(value) for value in layer.bias])


def inward(value: Fraction) -> float:
    """The float32 nearest to ``value`` that is not larger in size: no norm grows by rounding."""
    near = torch.tensor(float(value), dtype=torch.float32)
    if abs(Fraction(near.item())) > abs(value):
        near = torch.nextafter(near, torch.zeros(()))
    return near.item()


# --- norms, exactly -----------------------------------------------------------------------------


def norm_at_most_one(layer: Affine | Select, norm: str) -> bool:
    """Whether the operator norm of the linear map is at most 1 from ``norm`` to itself."""
    if isinstance(layer, Select):
        # Rows are unit vectors; a component that is taken twice adds up in L1 and L2.
        return norm == "linf" or len(set(layer.indices)) == len(layer.indices)
    weight = layer.weight
    if norm == "linf":
        return all(sum(map(abs, row)) <= 1 for row in weight)
    if norm == "l1":
        return all(sum(map(abs, column)) <= 1 for column in transposed(weight))
    return semidefinite(complement(min(weight, transposed(weight), key=len)))


def dual_norm_at_most_one(row: Vector, norm: str) -> bool:
    """Whether x -> <row, x> is 1-Lipschitz in ``norm``: L2 for l2, L1 for linf, L-inf for l1."""
    if norm == "l2":
        return dot(row, row) <= 1
    if norm == "linf":
        return sum(map(abs, row), Fraction(0)) <= 1
    return max(map(abs, row)) <= 1


def dot(u: Vector, v: Vector) -> Fraction:
    """<u, v>."""
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))


def transposed(matrix: Matrix) -> Matrix:
    """[m, n] to [n, m]."""
    return [list(column) for column in zip(*matrix, strict=True)]


def complement(weight: Matrix) -> Matrix:
    """I - W W^T."""
    return [[int(i == j) - dot(u, v) for j, v in enumerate(weight)] for i, u in enumerate(weight)]


def semidefinite(matrix: Matrix) -> bool:
    """Whether a symmetric matrix is positive semidefinite, by exact elimination (LDL^T)."""
    rest = [row[:] for row in matrix]
    for k in range(len(rest)):
        pivot = rest[k][k]
        if pivot < 0:
            return False
        if pivot == 0:
            if any(rest[k][k:]):
                return False
            continue
        for i in range(k + 1, len(rest)):
            factor = rest[i][k] / pivot
            if factor:
                for j in range(k, len(rest)):
                    rest[i][j] -= factor * rest[k][j]
    return True


def affine(
    weight: Sequence[Sequence[Fraction | int]], bias: Sequence[Fraction | int] | None = None
) -> Affine:
    """An :class:`Affine` from numbers; no bias is 0."""
    rows = [[Fraction(v) for v in row] for row in weight]
    shift = [Fraction(0)] * len(rows) if bias is None else [Fraction(v) for v in bias]
    return Affine(rows, shift)
