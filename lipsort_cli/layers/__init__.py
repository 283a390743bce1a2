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
from lipsort_cli.layers.dense import Dense
from lipsort_cli.layers.scaling import Normalize, Scale

__all__ = [
    "AbsoluteValue",
    "Dense",
    "FullSort",
    "GroupSort",
    "MaxMin",
    "Maxout",
    "Normalize",
    "Scale",
    "check_group_size",
    "group_sort",
]
