"""Convolutional critics: ordinary ones, and those that are Lipschitz by construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from lipsort_cli.errors import UsageError
from lipsort_cli.zoo import Network

_SMALLEST = 7
"""Pixels a side from which an image is halved no more."""


def check_image(shape: Sequence[int]) -> None:
    """Refuse points that are no images."""
    if len(shape) != 3:
        raise UsageError(
            f"critic.model: found convolutional for points of shape {list(shape)}, which are no "
            "images [channels, height, width]; choose critic.model=dense"
        )


def plain_convolutions(config: Any, shape: Sequence[int]) -> list[nn.Module]:
    """4x4 convolutions of stride 2 with leaky ReLU until a side is at most 7 (DCGAN), flattened."""
    check_image(shape)
    layers: list[nn.Module] = []
    channels, width, side = shape[0], config.channels, min(shape[1:])
    while side > _SMALLEST or not layers:
        layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(config.slope)]
        channels, width, side = width, 2 * width, side // 2
    return [*layers, nn.Flatten()]


def lipschitz_network(
    config: Any, activation: Any, constraint: Any, shape: Sequence[int]
) -> Network:
    """The zoo's convolutional critic with orthogonal convolutions."""
    check_image(shape)
    raise NotImplementedError
