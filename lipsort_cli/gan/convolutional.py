"""Convolutional critics: ordinary ones, and those that are Lipschitz by construction.

Both are DCGAN's: convolutions of 4x4 taps and stride 2, so that each halves the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lipsort_cli.config.models import DcganCriticModel
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import Normalize
from lipsort_cli.zoo import Network
from lipsort_cli.zoo.convolutional import build_image_network


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


def lipschitz_network(
    config: Any,
    activation: Any,
    constraint: Any,
    shape: Sequence[int],
    centre: Tensor,
    spread: float,
) -> Network:
    """The zoo's critic of orthogonal convolutions on centred images, K-Lipschitz in raw units.

    Images are divided by a power of two s near ``spread`` and the output is multiplied by it: exact
    both, and the constant stays ``config.lipschitz``.
    """
    check_image(config, shape)
    scale = 2.0 ** round(math.log2(spread)) if 0 < spread < math.inf else 1.0
    model = DcganCriticModel(
        name="dcgan_critic",
        channels=list(config.channels),
        widths=list(config.widths),
        lipschitz=config.lipschitz * scale,
    )
    network = build_image_network(model, activation, constraint, shape, 1)
    middle = centre.flatten(1).mean(1).tolist()
    return Network([Normalize(middle, [scale] * shape[0]), *network], shape, 1)
