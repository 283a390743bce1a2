"""Layers whose Lipschitz constant is known, usable like any of ``torch.nn``."""

from lipsort_cli.layers.activations import (
    AbsoluteValue,
    FullSort,
    GroupSort,
    MaxMin,
    Maxout,
    check_group_size,
    group_sort,
)
from lipsort_cli.layers.base import ConstrainedLayer
from lipsort_cli.layers.constants import lipschitz_constant
from lipsort_cli.layers.convolutions.aol import AolConvolution
from lipsort_cli.layers.convolutions.base import Convolution
from lipsort_cli.layers.convolutions.orthogonal import OrthogonalConvolution
from lipsort_cli.layers.convolutions.reshaped import ReshapedConvolution
from lipsort_cli.layers.convolutions.shift import ShiftConvolution
from lipsort_cli.layers.convolutions.spectral import SpectralConvolution
from lipsort_cli.layers.convolutions.transposed import TransposedConvolution
from lipsort_cli.layers.dense import Dense
from lipsort_cli.layers.pooling import AveragePool, DepthToSpace, L2Pool, MaxPool, SpaceToDepth
from lipsort_cli.layers.residual import Concatenate, Residual, Sum
from lipsort_cli.layers.scaling import Normalize, Scale
from lipsort_cli.layers.select import Select

__all__ = [
    "AbsoluteValue",
    "AolConvolution",
    "AveragePool",
    "Concatenate",
    "ConstrainedLayer",
    "Convolution",
    "Dense",
    "DepthToSpace",
    "FullSort",
    "GroupSort",
    "L2Pool",
    "MaxMin",
    "MaxPool",
    "Maxout",
    "Normalize",
    "OrthogonalConvolution",
    "ReshapedConvolution",
    "Residual",
    "Scale",
    "Select",
    "ShiftConvolution",
    "SpaceToDepth",
    "SpectralConvolution",
    "Sum",
    "TransposedConvolution",
    "check_group_size",
    "group_sort",
    "lipschitz_constant",
]
