"""From a configuration's name to a layer: the tables behind every network of the zoo."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import fields
from typing import Any, cast

from torch import nn

from lipsort_cli.config.activations import Activation
from lipsort_cli.config.constraints import Constraint as Choice
from lipsort_cli.config.constraints import SpectralConstraint
from lipsort_cli.config.plugins import made
from lipsort_cli.config.registry import resolve
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.layers import (
    AolConvolution,
    Convolution,
    OrthogonalConvolution,
    ReshapedConvolution,
    ShiftConvolution,
    SpectralConvolution,
)
from lipsort_cli.layers.activations import ACTIVATIONS
from lipsort_cli.layers.constraints import Constraint
from lipsort_cli.layers.constraints.transposed import Transposed


def build_activation(config: Activation, dim: int = -1) -> nn.Module:
    """A fresh activation of the configuration ``activation``, over axis ``dim``: 1 for images."""
    if (layer := made(config, nn.Module, dim)) is not None:
        return cast(nn.Module, layer)
    return ACTIVATIONS[config.name](config, dim)


def build_constraint(config: Choice) -> Constraint:
    """A fresh constraint of the configuration ``constraint``."""
    kind: Any = GROUPS["constraint"][config.name]
    names = [field.name for field in fields(kind) if field.name != "name"]
    return resolve(kind.made_by)(**{name: getattr(config, name) for name in names})


def constraint_maker(config: Choice, transposed: bool = False) -> Callable[[], Constraint]:
    """Makes the constraints of a network's layers, one a call, from the first layer on.

    ``transposed``: of weights whose transposes are in the sets.
    """
    kind: Any = GROUPS["constraint"][config.name]
    first = [resolve(kind.first_made_by)] if kind.first_made_by else []
    makers = itertools.chain(first, itertools.repeat(lambda: build_constraint(config)))
    return lambda: Transposed(next(makers)()) if transposed else next(makers)()


def build_convolution(
    config: Choice,
    construction: str,
    in_channels: int,
    out_channels: int,
    kernel: int,
    **options: Any,
) -> Convolution:
    """A convolution whose kernel is kept in the set of the configuration ``constraint``.

    ``orthonormal`` makes kernels by ``construction``: ``orthogonal``, ``shift`` (the former where
    the stride is not 1) or ``reshaped``; ``spectral`` and ``aol`` bound the operator; every other
    set holds the reshaped kernel. ``options``: those of :class:`~lipsort_cli.layers.Convolution`.
    """
    if config.name == "orthonormal" and construction != "reshaped":
        shifts = construction == "shift" and options.get("stride", 1) == 1
        orthogonal = ShiftConvolution if shifts else OrthogonalConvolution
        return orthogonal(in_channels, out_channels, kernel, **options)
    if config.name == "aol":
        return AolConvolution(in_channels, out_channels, kernel, **options)
    if isinstance(config, SpectralConstraint):
        # One power iteration with a warm start is enough; Gram iteration starts afresh.
        options |= {"iterations": 4 + config.iterations, "ball": config.name == "spectral_ball"}
        return SpectralConvolution(in_channels, out_channels, kernel, **options)
    return ReshapedConvolution(
        in_channels, out_channels, kernel, constraint=lambda: build_constraint(config), **options
    )
