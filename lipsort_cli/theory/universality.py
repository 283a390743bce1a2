"""Universality, measured: GroupSort networks come as close to a 1-Lipschitz function as one likes.

The lattice construction (:mod:`lipsort_cli.theory.lattice`) takes the function's values at given
points, and is 1-Lipschitz itself. On a grid of the cube whose points are 2 h apart every x is
within h of one, in L-infinity, so the error is at most 2 h everywhere: it falls as points grow.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.theory.exact import Affine, Vector
from lipsort_cli.theory.lattice import interpolate

SIDES = {1: (2, 4, 8, 16, 32), 2: (2, 4, 6, 8), 3: (2, 3, 4)}
"""Points along each side of the cube, by dimension."""


class Error(NamedTuple):
    """Of one network: points that it was made of, error found, and the bound that is proven."""

    points: int
    found: float
    bound: float


def target(x: Vector) -> Fraction:
    """1-Lipschitz in L-infinity on R^d: distance from the nearest of two points, bent at 1/3."""
    near = min(max(abs(v - c) for v in x) for c in (Fraction(1, 5), Fraction(7, 9)))
    return abs(near - Fraction(1, 6))


def errors(dim: int, fine: int | None = None) -> list[Error]:
    """Sup-norm errors on a fine grid of the cube [0, 1]^dim, and 2 h, by the number of points."""
    fine = fine or {1: 1201, 2: 61, 3: 19}[dim]
    axis = [Fraction(k, fine - 1) for k in range(fine)]
    places = [list(x) for x in itertools.product(axis, repeat=dim)]
    wanted = np.array([float(target(x)) for x in places])
    inputs = np.array(places, dtype=np.float64)
    found = []
    for side in SIDES[dim]:
        # In the middle of the cells, so that every x is within half a cell of one.
        middle = [Fraction(2 * k + 1, 2 * side) for k in range(side)]
        points = [list(x) for x in itertools.product(middle, repeat=dim)]
        network = interpolate(points, [target(x) for x in points], "linf")
        first = network.layers[0]
        assert isinstance(first, Affine)
        error = np.abs(_values(first, len(points), inputs) - wanted).max()
        found.append(Error(len(points), float(error), 1 / side))
    return found


def _values(first: Affine, n: int, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The network in binary64: after its first layer it takes minima, then the largest of them."""
    weight, bias = np.array(first.weight, np.float64), np.array(first.bias, np.float64)
    rows = [part @ weight.T + bias for part in np.array_split(inputs, 8)]
    return np.concatenate([part.reshape(-1, n, n - 1).min(2).max(1) for part in rows])
