"""Networks of order statistics: l-infinity-distance networks and SortNet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from lipsort_cli.config.distance import DistanceModel
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import MaxPool
from lipsort_cli.layers.distance import Distance
from lipsort_cli.zoo.network import Network


def build_distance(model: DistanceModel, input_shape: Sequence[int], outputs: int) -> Network:
    """Pooling, flatten, a :class:`~lipsort_cli.layers.distance.Distance` a width, and one as head.

    [N, *input_shape] goes in, [N, outputs] comes out. Every logit is 1-Lipschitz in L-infinity, so
    that a gap of g between two certifies the radius g/2. A largest pixel of a window is as robust
    as a pixel, at a fraction of the inputs.

    Raises:
        UsageError: pooling of inputs that are no images, or are smaller than a window.

    Example:
        >>> from lipsort_cli.config.distance import LinfDistanceModel
        >>> network = build_distance(LinfDistanceModel(widths=[16]), (1, 8, 8), 10)
        >>> len(network)
        3
    """
    layers: list[nn.Module] = []
    features = math.prod(input_shape)
    if model.pool > 1:
        if len(input_shape) != 3 or min(input_shape[1:]) < model.pool:
            raise UsageError(
                f"model.pool: found {model.pool}; the data's inputs have shape "
                f"{list(input_shape)}: windows of that side need images [channels, height, width] "
                "at least so large; choose model.pool=1"
            )
        layers.append(MaxPool(model.pool))
        channels, height, width = input_shape
        features = channels * (height // model.pool) * (width // model.pool)
    layers.append(nn.Flatten())
    options: dict[str, Any] = {
        "decay": getattr(model, "decay", 0.0),
        "spread": model.spread,
        "sharpness": (model.sharpness, model.last_sharpness),
        "exact": model.exact,
    }
    for width in model.widths:
        layers.append(Distance(features, width, **options))
        features = width
    layers.append(Distance(features, outputs, center=False, **options))
    return Network(layers, input_shape, outputs)
