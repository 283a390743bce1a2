"""Floating-point error bounds: the few facts on which every certificate rests.

Model of an arithmetic with unit roundoff ``u`` (Higham, Accuracy and Stability, 2002, ch. 2-3):
``fl(a op b) = (a op b)(1 + d)``, ``|d| <= u``, as long as nothing overflows or underflows. A sum of
``n`` products, in any order, fused or not, then errs by at most ``gamma(n + 2) * sum |a_i b_i|``.
Underflow adds an absolute term; it is taken large enough to cover flush-to-zero as well.

Bounds themselves are computed in binary64, each operation rounded to the safe side with
``nextafter``: round-to-nearest is off by less than one neighbour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bound = Any
"""A float or an array: the rounding steps below serve both."""

UNIT = 2.0**-53
"""Unit roundoff of binary64, in which bounds are computed."""


@dataclass(frozen=True)
class Arithmetic:
    """An arithmetic in which a network may be evaluated.

    ``unit`` is the unit roundoff, ``tiny`` bounds what one underflow can lose (flush to zero
    included), ``largest`` is a magnitude below which nothing overflows.
    """

    name: str
    unit: float
    tiny: float
    largest: float


REAL = Arithmetic("real", 0.0, 0.0, math.inf)
BINARY64 = Arithmetic("binary64", 2.0**-53, 2.0**-1022, 2.0**1000)
BINARY32 = Arithmetic("binary32", 2.0**-24, 2.0**-126, 2.0**126)
ARITHMETICS = {item.name: item for item in (REAL, BINARY64, BINARY32)}

NORMS = ("l2", "linf", "l1")
DUAL = {"l2": "l2", "linf": "l1", "l1": "linf"}


def gamma_exactly(count: int, unit: float) -> Fraction | None:
    """``count * u / (1 - count * u)``; None when ``count * u >= 1``.

    The formula turns negative past that point, so the check is not a formality.
    """
    product = count * Fraction(unit)
    if product >= 1:
        return None
    return product / (1 - product)


@lru_cache(maxsize=1024)
def gamma(count: int, unit: float) -> float:
    """``count * u / (1 - count * u)``, rounded up; infinite when ``count * u >= 1``."""
    found = gamma_exactly(count, unit)
    return math.inf if found is None else ceiling(found)


def ceiling(value: Fraction | float) -> float:
    """The smallest binary64 number that is no less than ``value``, or the one above it."""
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
    count = values.shape[-1]
    if norm == "linf":
        return np.asarray(np.abs(values).max(axis=-1, initial=0.0))
    if norm == "l1":
        return np.asarray(inflate(np.abs(values).sum(axis=-1), count))
    with np.errstate(over="ignore"):
        squares = np.square(values).sum(axis=-1)
    return np.asarray(inflate(np.sqrt(squares), count))


def ones_norm(count: int, norm: str) -> float:
    """Upper bound of the norm of ``count`` ones."""
    if norm == "linf":
        return 1.0
    return float(count) if norm == "l1" else math.nextafter(math.sqrt(count), math.inf)


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
    """Upper bounds in binary64, a number or an array: ``+`` and ``*`` round up.

    All bounds are non-negative; ``value`` is what they hold. The exact machine has
    balls of python-flint in their place, with the same operators.
    """

    __slots__ = ("value",)
    __array_ufunc__ = None

    def __init__(self, value: Bound) -> None:
        """``value``: the bound, already rounded up."""
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

    def __lt__(self, other: Up) -> bool:
        return bool(self.value < other.value)

    def __le__(self, other: Up) -> bool:
        return bool(self.value <= other.value)

    def min(self, other: Up) -> Up:
        """The smaller of two bounds of one number."""
        return Up(np.minimum(self.value, other.value))

    def max(self, other: Up) -> Up:
        """The larger of two bounds; NaN if one is."""
        return Up(np.maximum(self.value, other.value))


def _value(bound: Any) -> Bound:
    return bound.value if isinstance(bound, Up) else bound
