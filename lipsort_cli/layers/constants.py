"""The Lipschitz constant of a layer: what it says of itself, and a table for torch's own layers."""

from __future__ import annotations

from torch import nn

from lipsort_cli.layers.activations import AbsoluteValue, FullSort, GroupSort, Maxout
from lipsort_cli.layers.extension import Extension

_ONE = (
    *(AbsoluteValue, FullSort, GroupSort, Maxout),
    *(nn.Flatten, nn.Identity, nn.ReLU, nn.Hardtanh, nn.Tanh, nn.Dropout),
    *(nn.PixelShuffle, nn.PixelUnshuffle),
)
"""Layers of constant 1 in every lp norm; dropout does nothing outside training."""


def lipschitz_constant(layer: nn.Module, norm: str) -> float:
    """An upper bound of the constant of ``layer`` from ``norm`` (l2, linf, l1) to itself.

    Outside training. What a certificate claims is derived again from the saved network.

    Raises:
        TypeError: nothing is known of this layer.
    """
    stated = getattr(layer, "lipschitz", None)
    if stated is not None:
        return float(stated(norm))
    if plain := getattr(layer, "plain_layers", None):
        layer = nn.Sequential(*plain())
    if isinstance(layer, nn.Sequential):
        product = 1.0
        for part in layer:
            product *= lipschitz_constant(part, norm)
        return product
    if isinstance(layer, Extension) and norm in ("l2", "l1"):
        return 1.0
    if isinstance(layer, nn.LeakyReLU):
        return max(1.0, abs(float(layer.negative_slope)))
    if isinstance(layer, nn.Sigmoid):
        return 0.25
    if isinstance(layer, _ONE):
        return 1.0
    raise TypeError(f"found a layer {type(layer).__name__}, whose Lipschitz constant is not known")
