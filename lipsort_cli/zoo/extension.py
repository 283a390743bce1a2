"""The critic that extends a potential from samples to the whole space."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from lipsort_cli.layers.extension import Extension
from lipsort_cli.zoo.network import Network


def build_extension(
    centres: ArrayLike, values: ArrayLike | None = None, *, spread: float = 1.0
) -> Network:
    """The smallest 1-Lipschitz function that is at least ``values`` at ``centres``.

    Args:
        centres: points [n, d], rounded to float32.
        values: [n]; 0 where None. f equals them at the centres if they are 1-Lipschitz there.
        spread: size of typical values; only how fast an optimizer moves the biases depends on it.

    Example:
        >>> build_extension([[0.0], [4.0]], [0.0, 2.0])(torch.tensor([[1.0]])).item()
        -1.0
    """
    points = torch.as_tensor(np.asarray(centres, dtype=np.float32))
    unit = 2.0 ** round(math.log2(spread)) if 0 < spread < math.inf else 1.0
    layer = Extension(points, min(max(unit, 2.0**-60), 2.0**60))
    if values is not None:
        layer.set_bias_(torch.as_tensor(np.asarray(values, dtype=np.float64)))
    return Network([nn.Flatten(), layer], [points.shape[1]], 1)
