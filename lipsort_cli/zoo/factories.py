"""From a configuration's name to a layer: the tables behind every network of the zoo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from lipsort_cli.layers import (
    AbsoluteValue,
    AolConvolution,
    Convolution,
    FullSort,
    GroupSort,
    MaxMin,
    Maxout,
    OrthogonalConvolution,
    ReshapedConvolution,
    SpectralConvolution,
)
from lipsort_cli.layers.constraints import (
    Aol,
    Bjorck,
    Constraint,
    LinfProjection,
    LinfSoftmax,
    Orthonormal,
    Parseval,
    Spectral,
    Unconstrained,
)

ACTIVATIONS: dict[str, Callable[[Any, int], nn.Module]] = {
    "maxmin": lambda config, dim: MaxMin(dim),
    "groupsort": lambda config, dim: GroupSort(config.group_size, dim),
    "fullsort": lambda config, dim: FullSort(dim),
    "relu": lambda config, dim: nn.ReLU(),
    "leaky_relu": lambda config, dim: nn.LeakyReLU(config.slope),
    "absolute_value": lambda config, dim: AbsoluteValue(),
    "maxout": lambda config, dim: Maxout(config.group_size, dim),
    "tanh": lambda config, dim: nn.Tanh(),
    "sigmoid": lambda config, dim: nn.Sigmoid(),
    "identity": lambda config, dim: nn.Identity(),
}

CONSTRAINTS: dict[str, Callable[[Any], Constraint]] = {
    "orthonormal": lambda config: Orthonormal(),
    "bjorck": lambda config: Bjorck(
        config.order, config.iterations, config.loose_iterations, config.loose_share
    ),
    "spectral": lambda config: Spectral(config.iterations),
    "aol": lambda config: Aol(),
    "linf": lambda config: (
        LinfSoftmax(config.sharpness) if config.method == "softmax" else LinfProjection()
    ),
    "parseval": lambda config: Parseval(config.beta),
    "none": lambda config: Unconstrained(),
}


def build_activation(config: Any, dim: int = -1) -> nn.Module:
    """A fresh activation of the configuration ``activation``, over axis ``dim``: 1 for images."""
    return ACTIVATIONS[config.name](config, dim)


def build_constraint(config: Any) -> Constraint:
    """A fresh constraint of the configuration ``constraint``."""
    return CONSTRAINTS[config.name](config)


def build_convolution(
    config: Any, construction: str, in_channels: int, out_channels: int, kernel: int, **options: Any
) -> Convolution:
    """A convolution whose kernel is kept in the set of the configuration ``constraint``.

    Args:
        config: the constraint. ``orthonormal`` makes kernels by ``construction``; ``spectral`` and
            ``aol`` bound the operator; every other set holds the reshaped kernel.
        construction: ``orthogonal`` (:class:`OrthogonalConvolution`) or ``reshaped``.
        in_channels: of the input.
        out_channels: of the output.
        kernel: taps along each axis.
        options: as :class:`~lipsort_cli.layers.Convolution`: stride, padding, bias, ...
    """
    if config.name == "orthonormal" and construction == "orthogonal":
        return OrthogonalConvolution(in_channels, out_channels, kernel, **options)
    if config.name == "aol":
        return AolConvolution(in_channels, out_channels, kernel, **options)
    if config.name == "spectral":
        # One power iteration with a warm start is enough; Gram iteration starts afresh.
        squarings = 4 + config.iterations
        return SpectralConvolution(
            in_channels, out_channels, kernel, iterations=squarings, **options
        )
    return ReshapedConvolution(
        in_channels, out_channels, kernel, constraint=lambda: build_constraint(config), **options
    )
