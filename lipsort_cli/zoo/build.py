"""Networks from configurations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch

from lipsort_cli.config.activations import Activation
from lipsort_cli.config.constraints import Constraint
from lipsort_cli.config.distance import DistanceModel, FixedLinfModel, OrderModel
from lipsort_cli.config.models import EnsembleModel, ImageModel, MlpModel
from lipsort_cli.config.plugins import blamed, made
from lipsort_cli.config.registry import Option
from lipsort_cli.config.train import LipschitzNetwork
from lipsort_cli.errors import UsageError, first_line
from lipsort_cli.zoo.convolutional import build_image_network
from lipsort_cli.zoo.distance import build_distance
from lipsort_cli.zoo.factories import build_activation, constraint_maker
from lipsort_cli.zoo.mlp import build_ensemble, build_mlp
from lipsort_cli.zoo.network import Network
from lipsort_cli.zoo.order import build_order


def network_text(groups: LipschitzNetwork) -> str:
    """Layers, activation and constraint of a configured network, for headlines.

    ``512x512 groupsort(4), orthonormal``; ``32-64 | 256 maxmin, orthonormal`` of a convolutional
    one, ``16 | 512`` of filters. Where neither activation nor constraint has a part, the layers
    alone.
    """
    model, activation = groups.model, groups.activation
    layers = ""
    if hasattr(model, "widths"):
        widths = "x".join(map(str, model.widths)) or "linear"
        filters = [model.filters] if isinstance(model, OrderModel) and model.filters else []
        channels = "-".join(map(str, getattr(model, "channels", filters)))
        members = f"{model.members} of " if getattr(model, "members", 1) > 1 else ""
        layers = members + (f"{channels} | {widths}" if channels else widths)
    if isinstance(model, FixedLinfModel):
        return layers
    size = getattr(activation, "group_size", None)
    return f"{layers} {activation.name}{f'({size})' if size else ''}, {groups.constraint.name}"


def mlp_options(model: MlpModel) -> dict[str, Any]:
    """What :func:`build_mlp` takes of the configuration ``model``."""
    return {
        key: getattr(model, key)
        for key in ("bias", "dropout", "input_dropout", "lipschitz", "scaling")
    }


def _fitting(layers: Iterable[Any], shape: Sequence[int], outputs: int, name: str) -> Network:
    """The network of a plugin's ``layers``, tried once.

    Raises:
        UsageError: they cannot be applied in a row, or do not return as many outputs as they
            should.
    """
    try:
        with blamed(), torch.no_grad():
            network = Network(layers, shape, outputs)
            found = network.eval()(torch.zeros(2, *shape)).shape[1:]
    except (TypeError, RuntimeError) as error:
        raise UsageError(
            f"model={name}: what its make() returns cannot be applied to inputs "
            f"{[2, *shape]} ({first_line(error)}); allowed: layers in a row"
        ) from error
    if found != (outputs,):
        raise UsageError(
            f"model={name}: found outputs of shape {list(found)}; allowed: [{outputs}], "
            "the number that make() gets as outputs"
        )
    return network.train()


def build_network(
    model: Option,
    activation: Activation,
    constraint: Constraint,
    input_shape: Sequence[int],
    outputs: int,
    *,
    transposed: bool = False,
) -> Network:
    """The network of the configuration groups ``model``, ``activation`` and ``constraint``.

    ``transposed``: the transposes of dense weights are in the constraint set.
    """
    fresh = partial(build_activation, activation)
    layers = made(model, Iterable, tuple(input_shape), outputs, fresh)
    if layers is not None:
        return _fitting(layers, input_shape, outputs, model.name)
    if isinstance(model, ImageModel):
        return build_image_network(model, activation, constraint, input_shape, outputs)
    if isinstance(model, OrderModel):
        return build_order(model, input_shape, outputs)
    if isinstance(model, DistanceModel):
        return build_distance(model, input_shape, outputs)
    if isinstance(model, EnsembleModel):
        widths, members = model.widths, model.members
        return build_ensemble(
            input_shape, outputs, widths, fresh, members, bias=model.bias, dropout=model.dropout
        )
    assert isinstance(model, MlpModel)
    model.fit(math.prod(input_shape), activation.group)
    sets = constraint_maker(constraint, transposed)
    return build_mlp(input_shape, outputs, model.widths or [], fresh, sets, **mlp_options(model))
