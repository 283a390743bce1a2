"""Floating-point error bounds, and the arithmetic in which claims are checked.

Model of an arithmetic with unit roundoff ``u`` (Higham, Accuracy and Stability, 2002, ch. 2-3):
``fl(a op b) = (a op b)(1 + d)``, ``|d| <= u``, as long as nothing overflows or underflows. A sum of
``n`` products, in any order, fused or not, then errs by at most ``gamma(n + 2) * sum |a_i b_i|``.
Underflow adds an absolute term; it is taken large enough to cover flush-to-zero as well.

Two machines evaluate the same formulas. :class:`Binary64` holds activations as arrays and bounds as
:class:`Up`, each operation rounded to the safe side with ``nextafter`` (round-to-nearest is off by
less than one neighbour); :class:`lipsort_cli.verifier.exact.Exact` holds activations as integers
and bounds as balls, and rounds nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bound = Any  # a float or an array: the rounding steps below serve both

UNIT = 2.0**-53  # unit roundoff of binary64, in which bounds are computed


class Arithmetic(NamedTuple):
    """An arithmetic in which a network may be evaluated."""

    name: str
    unit: float  # roundoff
    tiny: float  # bounds what one underflow can lose, flush to zero included
    largest: float  # a magnitude below which nothing overflows


REAL = Arithmetic("real", 0.0, 0.0, math.inf)
BINARY64 = Arithmetic("binary64", 2.0**-53, 2.0**-1022, 2.0**1000)
BINARY32 = Arithmetic("binary32", 2.0**-24, 2.0**-126, 2.0**126)
ARITHMETICS = {item.name: item for item in (REAL, BINARY64, BINARY32)}

NORMS = ("l2", "linf", "l1")
DUAL = {"l2": "l2", "linf": "l1", "l1": "linf"}


@lru_cache(maxsize=1024)
def gamma(count: int, unit: float) -> float:
    """``count * u / (1 - count * u)``, rounded up; infinite where that turns negative."""
    product = count * Fraction(unit)
    return math.inf if product >= 1 else ceiling(product / (1 - product))


def ceiling(value: Fraction | float) -> float:
    """The smallest binary64 number that is no less than ``value``."""
    nearest = float(value)
    return nearest if nearest >= value else math.nextafter(nearest, math.inf)


def up(value: Bound) -> Bound:
    """The next binary64 number above."""
    return np.nextafter(value, np.inf)


def down(value: Bound) -> Bound:
    """The next binary64 number below."""
    return np.nextafter(value, -np.inf)


def inflate(value: Bound, count: int) -> Bound:
    """Upper bound of a non-negative sum of ``count`` terms that was computed in binary64."""
    return up(value * (1 + (count + 8) * 2 * UNIT) + count * 2.0**-500)


def norm_up(values: Floats, norm: str) -> Floats:
    """Upper bound of the norm along the last axis, ``[..., n] -> [...]``.

    The absolute term of :func:`inflate` covers squares that underflow.
    """
    if norm == "linf":
        return np.asarray(np.abs(values).max(axis=-1, initial=0.0))
    with np.errstate(over="ignore"):
        sums = (np.abs(values) if norm == "l1" else np.square(values)).sum(axis=-1)
    return np.asarray(inflate(sums if norm == "l1" else np.sqrt(sums), values.shape[-1]))


def conversion(m: Any, claim: str, route: str, count: int) -> Any:
    """``sup ||x||_route / ||x||_claim`` over vectors of ``count`` components, as a bound of ``m``.

    A ball of radius ``r`` in the norm ``claim`` lies in one of ``conversion * r`` in ``route``.
    """
    order = {"l1": 0, "l2": 1, "linf": 2}
    if order[route] >= order[claim]:
        return m.upper(1.0)
    return m.ones(count, "l1" if (route, claim) == ("l1", "linf") else "l2")


def gradual_underflow() -> bool:
    """Whether this process keeps subnormal numbers, as the rounding steps above assume."""
    smallest = np.array([5e-324, 2.0**-1022])
    return bool((smallest * np.array([1.0, 0.5]) > 0).all())


class Up:
    """Upper bounds in binary64, a number or an array, non-negative: ``+`` and ``*`` round up.

    The exact machine has balls of python-flint in their place, with the same operators.
    """

    __slots__ = ("value",)
    __array_ufunc__ = None

    def __init__(self, value: Bound) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(float(self.value))

    def __add__(self, other: Up | float) -> Up:
        return Up(up(self.value + _value(other)))

    def __mul__(self, other: Up | float) -> Up:
        if isinstance(other, float) and other == 1.0:
            return self
        return Up(up(self.value * _value(other)))

    __radd__ = __add__
    __rmul__ = __mul__

    def __getitem__(self, index: Any) -> Up:
        return Up(self.value[index])

    def __lt__(self, other: Up) -> Any:
        return self.value < other.value

    def __le__(self, other: Up) -> Any:
        return self.value <= other.value

    def min(self, other: Up) -> Up:
        """The smaller of two bounds of one number; NaN if one is."""
        return Up(np.minimum(self.value, other.value))

    def max(self, other: Up) -> Up:
        """The larger of two bounds; NaN if one is."""
        return Up(np.maximum(self.value, other.value))


def _value(bound: Any) -> Bound:
    return bound.value if isinstance(bound, Up) else bound


class Machine:
    """What both do alike; ``unit`` and ``tiny`` are those of their own arithmetic, 0 if exact.

    ``guard`` multiplies what this machine's own roundings may lose: an issuer takes more than 1, so
    that another machine confirms its claims.
    """

    unit: float
    tiny: float

    def __init__(self, guard: float = 1.0) -> None:
        self.guard = guard
        self.prepared: dict[tuple[int, str], Any] = {}  # see :meth:`Linear.of`

    def gamma(self: Any, count: int, arithmetic: Arithmetic) -> Any:
        """The relative error of ``count`` roundings; None in real arithmetic, infinite from 1/2."""
        error = gamma(count, arithmetic.unit)
        return None if error == 0 else self.upper(error if error <= 0.5 else math.inf)

    def lost(self, count: int, sizes: Any, small: Any) -> Any:
        """What ``count`` of this machine's own roundings of sums of ``sizes`` can amount to."""
        return sizes * gamma(count, self.unit) + small * (2 * self.tiny)

    def lost_in_product(self: Any, first: Any, second: Any) -> Any:
        """What the Frobenius norm of a product of matrices can be off by."""
        sizes = self.norm(first.reshape(-1), "l2") * self.norm(second.reshape(-1), "l2")
        return sizes * gamma(first.shape[1] + 2, self.unit) + 2.0**-900

    def largest_sum(self: Any, absolute: Any, axis: int) -> Any:
        """The largest sum of non-negative numbers along ``axis`` of a matrix."""
        sums, count = absolute.sum(axis), absolute.shape[axis]
        made = self.uppers(sums if self.exactly else self.enlarge(sums, count))
        return self.norm(made, "linf")


class Binary64(Machine):
    """Activations are ``float64 [N, n]``, upper bounds :class:`Up`."""

    unit, tiny = UNIT, BINARY64.tiny
    largest = BINARY64.largest  # above, nothing is judged: this machine itself may overflow
    ranks, cut = 54, 0.0  # bits after which ranks are left out, and the share of a sum so lost
    bulk = 1  # so many times more memory than floats its numbers take
    exactly = False  # whether values are those of real arithmetic, up to what ``settle`` cuts off

    uppers = staticmethod(Up)  # non-negative activations as bounds, one each
    array = staticmethod(partial(np.asarray, dtype=np.float64))  # numbers of a file, exactly
    floats = array  # activations as floats, about
    enlarge = staticmethod(inflate)  # what so many roundings made, raised by what these may lose
    multiply = staticmethod(np.matmul)
    divide = staticmethod(np.divide)
    square_roots = staticmethod(np.sqrt)

    def upper(self, value: float | Fraction) -> Up:
        """A number, rounded up."""
        return Up(ceiling(value))

    def ones(self, count: int, norm: str) -> Up:
        """The norm of ``count`` ones."""
        if norm == "l2":
            return Up(math.nextafter(math.sqrt(count), math.inf))
        return Up(1.0 if norm == "linf" else float(count))

    def root(self, bound: Up) -> Up:
        """Square root."""
        return Up(up(up(np.sqrt(bound.value))))

    def norm(self, values: Floats | Up, norm: str) -> Up:
        """Norms of activations, or of bounds, along the last axis."""
        return Up(norm_up(_value(values), norm))

    def stack(self, bounds: Sequence[Up]) -> Up:
        """Side by side, along a new last axis."""
        return Up(np.stack([bound.value for bound in bounds], axis=-1))

    def difference(self, first: Floats, second: Floats) -> Up:
        """``first - second``, to compare bounds with; rounded down."""
        return Up(down(first - second))

    def holds(self, bound: Up, number: Fraction) -> bool:
        """Whether a bound is at most ``number``; NaN is not."""
        return bool(float(bound.value) <= number)

    def product(self, values: Floats, weight: Floats) -> Floats:
        """``[N, n]`` times the transpose of ``[m, n]``."""
        return np.asarray(values @ weight.T)

    def select(self, function: Callable[..., Any], *values: Floats) -> Floats:
        """``function`` moves, selects, changes signs, adds or subtracts numbers of one grid."""
        return np.asarray(function(*values))

    bilinear = select  # adds up products of the last values with what it selects of the others

    def settle(self, values: Floats) -> tuple[Floats, float]:
        """Activations as they are kept, and what keeping them cost each component."""
        return values, 0.0
