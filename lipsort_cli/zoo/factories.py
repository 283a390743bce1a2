"""From a configuration's name to a layer: the tables behind every network of the zoo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from lipsort_cli.layers import AbsoluteValue, FullSort, GroupSort, MaxMin, Maxout
from lipsort_cli.layers.constraints import (
    Bjorck,
    Constraint,
    LinfProjection,
    LinfSoftmax,
    Orthonormal,
    Parseval,
    Spectral,
    Unconstrained,
)

ACTIVATIONS: dict[str, Callable[[Any], nn.Module]] = {
    "maxmin": lambda config: MaxMin(),
    "groupsort": lambda config: GroupSort(config.group_size),
    "fullsort": lambda config: FullSort(),
    "relu": lambda config: nn.ReLU(),
    "leaky_relu": lambda config: nn.LeakyReLU(config.slope),
    "absolute_value": lambda config: AbsoluteValue(),
    "maxout": lambda config: Maxout(config.group_size),
    "tanh": lambda config: nn.Tanh(),
    "sigmoid": lambda config: nn.Sigmoid(),
    "identity": lambda config: nn.Identity(),
}

CONSTRAINTS: dict[str, Callable[[Any], Constraint]] = {
    "orthonormal": lambda config: Orthonormal(),
    "bjorck": lambda config: Bjorck(
        config.order, config.iterations, config.loose_iterations, config.loose_share
    ),
    "spectral": lambda config: Spectral(config.iterations),
    "linf": lambda config: (
        LinfSoftmax(config.sharpness) if config.method == "softmax" else LinfProjection()
    ),
    "parseval": lambda config: Parseval(config.beta),
    "none": lambda config: Unconstrained(),
}


def build_activation(config: Any) -> nn.Module:
    """A fresh activation of the configuration ``activation``."""
    return ACTIVATIONS[config.name](config)


def build_constraint(config: Any) -> Constraint:
    """A fresh constraint of the configuration ``constraint``."""
    return CONSTRAINTS[config.name](config)
