"""The lattice construction: a GroupSort network through given 1-Lipschitz data, exactly.

A set of 1-Lipschitz functions that is closed under maxima and minima and that separates points is
dense among the 1-Lipschitz functions (Restricted Stone-Weierstrass; Lemma 1 and Theorem 3 of
Anil, Lucas and Grosse, 2019). Its proof builds a function through finitely many points,

    f(x) = max_i min_{j != i} f_ij(x),    f_ij affine, f_ij(x_i) = y_i, f_ij(x_j) = y_j,

and here that function is a network. f_ij(x) = y_i + s <w, x - x_i> with w of dual norm 1 and
``<w, x_j - x_i> = ||x_j - x_i||``, and slope s = (y_j - y_i) / ||x_j - x_i|| of size at most 1:
rows of the first layer, whose norm from the data's norm to L-infinity is so at most 1. The minima
and maxima are tournaments of GroupSort, with rows of a single 1 between: norm 1 in L-infinity.
min_j f_ij is y_i at x_i and at most y_k at x_k, so the maximum over i is y_k at x_k.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.console import plural
from lipsort_cli.errors import UsageError
from lipsort_cli.theory.exact import Activation, Affine, ExactNetwork, Layer, Select, Vector, dot

Number = float | int | Fraction


def interpolate(
    points: Sequence[Sequence[Number]],
    values: Sequence[Number],
    norm: str = "linf",
    group_size: int = 2,
) -> ExactNetwork:
    """A GroupSort network f with f(points[i]) = values[i] that is 1-Lipschitz in ``norm``.

    Args:
        points: [n, d], all different; floats are taken as the rational numbers that they are.
        values: [n], with |values[i] - values[j]| <= ||points[i] - points[j]||.
        norm: linf, l2 or l1.
        group_size: of GroupSort; 2 is MaxMin.

    Returns:
        An exact network; ``.network()`` is it in float32, with weights rounded towards zero (its
        values are then off by rounding). The first layer has n (n - 1) rows.

    Raises:
        UsageError: shapes do not fit, points repeat, or the data are not 1-Lipschitz; the message
            names the pair.

    Example:
        >>> f = interpolate([[0, 0], [2, 1], [0, 4]], [0, 1, -3])
        >>> [str(f(x)[0]) for x in ([0, 0], [2, 1], [0, 4])]
        ['0', '1', '-3']
    """
    if norm not in ("linf", "l2", "l1"):
        raise UsageError(f"norm: found {norm!r}; allowed: linf, l2, l1")
    if group_size < 2:
        raise UsageError(f"group_size: found {group_size}; allowed: 2 or more")
    exact_points, exact_values = _checked(points, values)
    n, dim = len(exact_points), len(exact_points[0])
    if n == 1:
        return ExactNetwork((Affine([[Fraction(0)] * dim], exact_values),), dim)
    rows: list[Vector] = []
    shifts: Vector = []
    for i, j in itertools.permutations(range(n), 2):
        rows.append(_row(exact_points, exact_values, i, j, norm))
        shifts.append(exact_values[i] - dot(rows[-1], exact_points[i]))
    layers: list[Layer] = [Affine(rows, shifts)]
    layers += _tournament(n, n - 1, group_size, largest=False)
    layers += _tournament(1, n, group_size, largest=True)
    return ExactNetwork(tuple(layers), dim)


def _checked(
    points: Sequence[Sequence[Number]], values: Sequence[Number]
) -> tuple[list[Vector], Vector]:
    if not len(points) or not len(points[0]) or len(points) != len(values):
        raise UsageError(
            f"found {plural(len(points), 'point')} and {plural(len(values), 'value')}; at least "
            "one of each is needed, "
            "and as many values as points"
        )
    if len({len(point) for point in points}) > 1:
        raise UsageError("points: found some of different dimensions; all need the same")
    try:
        exact_points = [[_rational(v) for v in point] for point in points]
        exact_values = [_rational(v) for v in values]
    except (ValueError, OverflowError) as error:
        raise UsageError(f"found {error} among points or values; allowed: finite numbers") from None
    return exact_points, exact_values


def _rational(value: Number) -> Fraction:
    # Float32 of NumPy is no float of Python's, but converts to one exactly.
    return Fraction(value if isinstance(value, int | Fraction) else float(value))


def _row(points: list[Vector], values: Vector, i: int, j: int, norm: str) -> Vector:
    """s w: slope times the direction, rational in every norm."""
    step = [b - a for a, b in zip(points[i], points[j], strict=True)]
    rise = values[j] - values[i]
    if not any(step):
        raise UsageError(f"points[{i}] and points[{j}] are the same point; each one may come once")
    if norm == "l2":
        # (rise / |step|) (step / |step|) has no root.
        square = dot(step, step)
        lipschitz = rise * rise <= square
        row = [rise * v / square for v in step]
    elif norm == "linf":
        k = max(range(len(step)), key=lambda index: abs(step[index]))
        lipschitz = abs(rise) <= abs(step[k])
        row = [rise / step[k] if index == k else Fraction(0) for index in range(len(step))]
    else:
        length = sum(map(abs, step), Fraction(0))
        lipschitz = abs(rise) <= length
        row = [rise / length * ((v > 0) - (v < 0)) for v in step]
    if not lipschitz:
        raise UsageError(
            f"values[{i}] and values[{j}] differ by {float(abs(rise)):g}, more than the distance "
            f"of their points in {norm}; no 1-Lipschitz function takes them"
        )
    return row


def _tournament(blocks: int, size: int, group: int, *, largest: bool) -> list[Layer]:
    """Layers from ``blocks`` blocks of ``size`` numbers to the extreme of each block."""
    layers: list[Layer] = []
    while size > 1:
        groups = -(-size // group)
        # The last group is filled up with copies of the block's last number.
        filled = [
            block * size + min(k, size - 1)
            for block in range(blocks)
            for k in range(groups * group)
        ]
        layers.append(Select(tuple(filled), blocks * size))
        layers.append(Activation("sort", group))
        ends = range(group - 1 if largest else 0, blocks * groups * group, group)
        layers.append(Select(tuple(ends), blocks * groups * group))
        size = groups
    return layers


SIDES = {1: (2, 4, 8, 16, 32), 2: (2, 4, 6, 8), 3: (2, 3, 4)}
"""Points along each side of the cube, by dimension."""


class Error(NamedTuple):
    """Of one network: points that it was made of, and the error found on a grid, in binary64.

    ``bound`` is proven for all inputs if ``sound``: it is right at the points, and 1-Lipschitz.
    """

    points: int
    found: float
    bound: float
    sound: bool


def target(x: Vector) -> Fraction:
    """1-Lipschitz in L-infinity on R^d: distance from the nearest of two points, bent at 1/3."""
    near = min(max(abs(v - c) for v in x) for c in (Fraction(1, 5), Fraction(7, 9)))
    return abs(near - Fraction(1, 6))


@lru_cache
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
        right = all(network(x)[0] == target(x) for x in points)
        sound = right and network.mixed("linf")
        found.append(Error(len(points), float(error), 1 / side, sound))
    return found


def _values(first: Affine, n: int, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The network in binary64: after its first layer it takes minima, then the largest of them."""
    weight, bias = np.array(first.weight, np.float64), np.array(first.bias, np.float64)
    rows = [part @ weight.T + bias for part in np.array_split(inputs, 8)]
    return np.concatenate([part.reshape(-1, n, n - 1).min(2).max(1) for part in rows])
