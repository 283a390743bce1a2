"""Synthetic pairs of distributions whose Wasserstein-1 distance and potential are known."""

from lipsort_cli.data.distributions.base import Pair
from lipsort_cli.data.distributions.gaussians import (
    AxisMixture,
    ScaledGaussians,
    TranslatedGaussians,
)
from lipsort_cli.data.distributions.radial import Cones, Spheres

__all__ = [
    "AxisMixture",
    "Cones",
    "Pair",
    "ScaledGaussians",
    "Spheres",
    "TranslatedGaussians",
]
