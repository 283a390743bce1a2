"""Convolutions of ordinary critics: DCGAN's, 4x4 taps with stride 2; each halves the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from lipsort_cli.errors import UsageError


def check_image(config: Any, shape: Sequence[int]) -> None:
    """Refuse points that are no images, and images too small for so many halvings."""
    if len(shape) != 3:
        raise UsageError(
            f"critic.channels: found {config.channels} for points of shape {list(shape)}, which "
            "are no images [channels, height, width]; allowed: []"
        )
    most = int(math.log2(min(shape[1:])))
    if len(config.channels) > most:
        raise UsageError(
            f"critic.channels: found {len(config.channels)} convolutions; an image of "
            f"{shape[1]}x{shape[2]} pixels can be halved {most} times: give fewer"
        )


def plain_convolutions(config: Any, shape: Sequence[int]) -> list[nn.Module]:
    """torch's convolutions with leaky ReLU."""
    check_image(config, shape)
    layers: list[nn.Module] = []
    channels = shape[0]
    for width in config.channels:
        layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(config.slope)]
        channels = width
    return layers
