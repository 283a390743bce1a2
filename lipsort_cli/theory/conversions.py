"""GroupSort, FullSort and the absolute value, written in terms of each other under the constraint.

Each function returns a network whose linear layers have operator norm at most 1 and that equals
the activation it is named after; with rational weights, so that both can be checked exactly
(:mod:`lipsort_cli.theory.exact`). See section 4 of Anil, Lucas and Grosse, "Sorting Out Lipschitz
Function Approximation", ICML 2019. Where a pair of weights 1/sqrt(2) would do, four weights 1/2
do the same in rational numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from lipsort_cli.theory.exact import Activation, ExactNetwork, Layer, Matrix, Select, Vector, affine

HALF = Fraction(1, 2)


def absolute_value_by_maxmin(features: int, norm: str = "l2") -> ExactNetwork:
    """|x| of each of ``features`` inputs, by MaxMin; exact everywhere.

    ``norm=l2``: x goes to (x, -x, x, -x) / 2, a column of length 1; MaxMin gives
    (-|x|, |x|, -|x|, |x|) / 2, and the same column, signs sorted, gives |x|. ``norm=linf``: x goes
    to (x, -x), the maximum is taken.

    Example:
        >>> [int(v) for v in absolute_value_by_maxmin(2)([-3, 5])]
        [3, 5]
    """
    if norm == "l2":
        up, down = [HALF, -HALF, HALF, -HALF], [-HALF, HALF, -HALF, HALF]
    elif norm == "linf":
        up, down = [Fraction(1), Fraction(-1)], [Fraction(0), Fraction(1)]
    else:
        raise ValueError(f"found norm {norm!r}; allowed: l2, linf")
    size = len(up)
    spread: Matrix = _zeros(size * features, features)
    gather: Matrix = _zeros(features, size * features)
    for i in range(features):
        for k in range(size):
            spread[size * i + k][i] = up[k]
            gather[i][size * i + k] = down[k]
    return ExactNetwork((affine(spread), Activation("sort", 2), affine(gather)), features)


def maxmin_by_absolute_value(features: int, bound: Fraction | int) -> ExactNetwork:
    """MaxMin of pairs, by absolute values, in L2; exact for inputs within +-``bound``.

    (x, y) goes to s = (x + y) / 2 and d = (x - y) / 2, twice each; s + bound is not negative, so
    the absolute value leaves it as it is; and max, min = s +- |d|. Columns and rows of length 1.
    An even function of its argument cannot pass s on everywhere: the bound is needed.
    """
    _even(features)
    bound = Fraction(bound)
    spread, gather = _zeros(2 * features, features), _zeros(features, 2 * features)
    shift: Vector = []
    back: Vector = []
    for pair in range(features // 2):
        x, y = 2 * pair, 2 * pair + 1
        for k in range(4):
            spread[4 * pair + k][x] = HALF
            spread[4 * pair + k][y] = HALF if k < 2 else -HALF
            gather[x][4 * pair + k] = HALF if k < 2 else -HALF
            gather[y][4 * pair + k] = HALF
        shift += [bound, bound, Fraction(0), Fraction(0)]
        back += [-bound, -bound]
    layers = (affine(spread, shift), Activation("absolute_value"), affine(gather, back))
    return ExactNetwork(layers, features, bound)


def fullsort_by_maxmin(features: int) -> ExactNetwork:
    """FullSort of an even number of features, by as many layers of MaxMin and permutations.

    Odd-even transposition sort: layers compare (0, 1), (2, 3), ... and (1, 2), (3, 4), ... in turn.
    MaxMin must also compare what is left over in the second kind, first and last; the smaller goes
    first. That harms nothing: of zeros and ones, let S_k count the ones from position k on. A
    comparison of neighbours sets S_{i+1} to min(S_i, S_{i+2} + 1), which grows with S, and the
    extra comparison only lets S grow; so S stays at least what it is without the extra ones, which
    at the end is sorted already. By the 0-1 principle, so is everything (Knuth, TAOCP 3, 5.3.4).
    """
    _even(features)
    straight = tuple(range(features))
    # The leftover pair first: position 0, then the last.
    crossed = (0, features - 1, *range(1, features - 1))
    home = tuple(crossed.index(i) for i in straight)
    layers: list[Layer] = []
    for stage in range(features):
        if stage % 2 == 0:
            layers += [Select(straight, features), Activation("sort", 2)]
        else:
            layers += [Select(crossed, features), Activation("sort", 2), Select(home, features)]
    return ExactNetwork(tuple(layers), features)


def maxmin_by_fullsort(features: int, bound: Fraction | int) -> ExactNetwork:
    """MaxMin of pairs, by one FullSort; exact for inputs within +-``bound``.

    Pair k is shifted by k times a little more than 2 bound, so that pairs do not mix, and back.
    """
    _even(features)
    bound = Fraction(bound)
    shift = [(i // 2) * (2 * bound + 1) for i in range(features)]
    identity = [[Fraction(int(i == j)) for j in range(features)] for i in range(features)]
    back = [-value for value in shift]
    layers = (affine(identity, shift), Activation("sort", features), affine(identity, back))
    return ExactNetwork(layers, features, bound)


def absolute_value_by_fullsort(features: int, bound: Fraction | int) -> ExactNetwork:
    """|x| of each of ``features`` inputs, by one FullSort; exact for inputs within +-``bound``.

    :func:`absolute_value_by_maxmin` in L2, its MaxMin by :func:`maxmin_by_fullsort`.
    """
    return _with_maxmin_as(absolute_value_by_maxmin(features), maxmin_by_fullsort, bound)


def fullsort_by_absolute_value(features: int, bound: Fraction | int) -> ExactNetwork:
    """FullSort of an even number of features, by absolute values, in L2; within +-``bound``.

    :func:`fullsort_by_maxmin`, each MaxMin by :func:`maxmin_by_absolute_value`: what
    is sorted stays within the bound.
    """
    return _with_maxmin_as(fullsort_by_maxmin(features), maxmin_by_absolute_value, bound)


def relu_by_maxmin(features: int) -> ExactNetwork:
    """ReLU of each of ``features`` inputs: the maximum of (0, x), by MaxMin; exact everywhere."""
    spread = _zeros(2 * features, features)
    for i in range(features):
        spread[2 * i + 1][i] = Fraction(1)
    picked = Select(tuple(2 * i + 1 for i in range(features)), 2 * features)
    return ExactNetwork((affine(spread), Activation("sort", 2), picked), features)


def _with_maxmin_as(
    network: ExactNetwork,
    make: Callable[[int, Fraction | int], ExactNetwork],
    bound: Fraction | int,
) -> ExactNetwork:
    """``network`` with every MaxMin replaced by ``make(width, bound)``."""
    layers: list[Layer] = []
    width = network.inputs
    for layer in network.layers:
        if isinstance(layer, Activation):
            layers += make(width, bound).layers
        else:
            layers.append(layer)
            width = layer.width
    return ExactNetwork(tuple(layers), network.inputs, Fraction(bound))


def _zeros(rows: int, columns: int) -> Matrix:
    return [[Fraction(0)] * columns for _ in range(rows)]


def _even(features: int) -> None:
    if features < 2 or features % 2:
        raise ValueError(f"found {features} features; MaxMin takes an even number, 2 or more")
