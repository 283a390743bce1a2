"""The mean of several networks' outputs, as one network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from lipsort_cli.layers.side_by_side import SideBySide
from lipsort_cli.zoo.network import Network


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
