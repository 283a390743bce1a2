"""Constraint sets of dense weights: one module each, the same members in each."""

from lipsort_cli.layers.constraints.aol import Aol
from lipsort_cli.layers.constraints.base import Constraint
from lipsort_cli.layers.constraints.bjorck import Bjorck
from lipsort_cli.layers.constraints.linf import (
    LinfForward,
    LinfProjection,
    LinfSoftmax,
    RowsL2,
    project_rows_l1,
)
from lipsort_cli.layers.constraints.orthonormal import Orthonormal
from lipsort_cli.layers.constraints.parseval import Parseval
from lipsort_cli.layers.constraints.polynomials import orthonormality_error, polar_factor
from lipsort_cli.layers.constraints.spectral import Spectral, SpectralBall
from lipsort_cli.layers.constraints.unconstrained import Unconstrained

__all__ = [
    "Aol",
    "Bjorck",
    "Constraint",
    "LinfForward",
    "LinfProjection",
    "LinfSoftmax",
    "Orthonormal",
    "Parseval",
    "RowsL2",
    "Spectral",
    "SpectralBall",
    "Unconstrained",
    "orthonormality_error",
    "polar_factor",
    "project_rows_l1",
]
