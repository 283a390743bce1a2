"""Fully connected Lipschitz networks, and the mean of several as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from lipsort_cli.layers import Dense, MaxMin, Maxout, Scale
from lipsort_cli.layers.constraints import Constraint, Orthonormal
from lipsort_cli.layers.side_by_side import SideBySide
from lipsort_cli.zoo.network import Network


def build_mlp(
    input_shape: Sequence[int],
    outputs: int,
    widths: Sequence[int],
    activation: Callable[[], nn.Module] = MaxMin,
    constraint: Callable[[], Constraint] = Orthonormal,
    *,
    bias: bool = True,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    lipschitz: float = 1.0,
    scaling: str = "head",
) -> Network:
    """Flatten, then (dense, activation, dropout) for each width, scaling, and a dense head.

    Args:
        input_shape: shape of one input; [N, *input_shape] goes in, [N, outputs] comes out.
        outputs: classes, or 1 for a critic.
        widths: hidden widths before the activation; multiples of its group size.
        activation: makes a fresh activation for each layer.
        constraint: makes a fresh constraint for each layer.
        bias: whether dense layers have one.
        dropout: share of features dropped after each activation while training.
        input_dropout: share of inputs dropped while training.
        lipschitz: the network is ``lipschitz`` times a network of constrained layers.
        scaling: where that factor is: before the head, or its root in each of the ``layers``.

    Example:
        >>> network = build_mlp((1, 8, 8), 10, [64, 64])
        >>> len(network)
        6
    """
    layers: list[nn.Module] = [nn.Flatten()]
    if input_dropout > 0:
        layers.append(nn.Dropout(input_dropout))
    features = math.prod(input_shape)
    factor = lipschitz ** (1 / (len(widths) + 1)) if scaling == "layers" else 1.0
    for width in widths:
        layers.append(Dense(features, width, bias, constraint()))
        if factor != 1.0:
            layers.append(Scale(factor))
        layers.append(activation())
        features = width
        if isinstance(layers[-1], Maxout):
            features //= layers[-1].group_size
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    if lipschitz != 1.0:
        # Before the head, so that the head stays the last layer and margins keep their meaning.
        layers.append(Scale(factor if scaling == "layers" else lipschitz))
    layers.append(Dense(features, outputs, bias, constraint()))
    return Network(layers, input_shape, outputs)


class Ensemble(Network):
    """Layers whose head is the mean of K networks' (:class:`SideBySide`)."""

    def apart(self) -> nn.Sequential:
        """The layers that give every member's outputs for [N, *input_shape]: [K, N, outputs]."""
        *body, head = self
        return nn.Sequential(*body, _Apart(head))

    def behind(self, mean: Sequence[float], std: Sequence[float]) -> Ensemble:
        """As of every network; still an ensemble."""
        return Ensemble(super().behind(mean, std), self.input_shape, self.outputs)


class _Apart(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.head, SideBySide)
        return self.head.apart(x)


def build_ensemble(
    input_shape: Sequence[int],
    outputs: int,
    widths: Iterable[int],
    activation: Callable[[], nn.Module],
    members: int,
    *,
    bias: bool = True,
    dropout: float = 0.0,
) -> Ensemble:
    """The mean of ``members`` fully connected networks of the same hidden ``widths``.

    Trained with the loss of each member, not of the mean: they share batches and differ in their
    first weights. With every layer 1-Lipschitz in L2, the mean is as Lipschitz as each of them.

    Example:
        >>> from lipsort_cli.layers import MaxMin
        >>> len(build_ensemble((1, 8, 8), 10, [16, 16], MaxMin, 3))
        6
    """
    layers: list[nn.Module] = [nn.Flatten()]
    features, place = math.prod(input_shape), "first"
    for width in widths:
        layers += [SideBySide(members, features, width, place, bias), activation()]
        features, place = width, "middle"
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    return Ensemble(
        [*layers, SideBySide(members, features, outputs, "last", bias)], input_shape, outputs
    )
