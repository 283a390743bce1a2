"""Convolutions with a known operator norm on the padded input: one construction a module."""

from lipsort_cli.layers.convolutions.aol import AolConvolution
from lipsort_cli.layers.convolutions.base import Convolution
from lipsort_cli.layers.convolutions.bounds import convolution_bound
from lipsort_cli.layers.convolutions.geometry import Geometry
from lipsort_cli.layers.convolutions.orthogonal import OrthogonalConvolution
from lipsort_cli.layers.convolutions.reshaped import ReshapedConvolution
from lipsort_cli.layers.convolutions.shift import ShiftConvolution
from lipsort_cli.layers.convolutions.spectral import SpectralConvolution
from lipsort_cli.layers.convolutions.transposed import TransposedConvolution

__all__ = [
    "AolConvolution",
    "Convolution",
    "Geometry",
    "OrthogonalConvolution",
    "ReshapedConvolution",
    "ShiftConvolution",
    "SpectralConvolution",
    "TransposedConvolution",
    "convolution_bound",
]
