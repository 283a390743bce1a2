"""Networks from configurations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lipsort_cli.config.distance import DistanceModel
from lipsort_cli.zoo.convolutional import BUILDERS, build_image_network
from lipsort_cli.zoo.distance import build_distance
from lipsort_cli.zoo.factories import build_activation, constraint_maker
from lipsort_cli.zoo.mlp import build_mlp
from lipsort_cli.zoo.network import Network
from lipsort_cli.zoo.order import build_order


def layer_text(model: Any) -> str:
    """The sizes of a configured network's layers, for headlines: ``32-64 | 256``, ``512x512``."""
    widths = "x".join(str(width) for width in model.widths) or "linear"
    channels = "-".join(str(count) for count in getattr(model, "channels", []))
    return f"{channels} | {widths}" if channels else widths


def mlp_options(model: Any) -> dict[str, Any]:
    """What :func:`build_mlp` takes of the configuration ``model``."""
    return {
        key: getattr(model, key)
        for key in ("bias", "dropout", "input_dropout", "lipschitz", "scaling")
    }


def build_network(
    model: Any, activation: Any, constraint: Any, input_shape: Sequence[int], outputs: int
) -> Network:
    """The network of the configuration groups ``model``, ``activation`` and ``constraint``."""
    if model.name in BUILDERS:
        return build_image_network(model, activation, constraint, input_shape, outputs)
    if model.name == "order_statistics":
        return build_order(model, input_shape, outputs)
    if isinstance(model, DistanceModel):
        return build_distance(model, input_shape, outputs)
    if model.widths is None:
        model.fit(math.prod(input_shape), activation.group)
    return build_mlp(
        input_shape,
        outputs,
        model.widths,
        lambda: build_activation(activation),
        constraint_maker(constraint),
        **mlp_options(model),
    )
