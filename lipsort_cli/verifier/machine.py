"""The arithmetic in which claims are checked: binary64, every bound rounded outwards.

Two machines evaluate the same formulas. This one holds activations as binary64 arrays and bounds as
:class:`Up`; :class:`lipsort_cli.verifier.exact.machine.Exact` holds activations as integers and
bounds as balls, and rounds nowhere. A formula written once for both is checked by either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rounding import (
    BINARY64,
    UNIT,
    Arithmetic,
    Floats,
    Up,
    ceiling,
    gamma,
    inflate,
    norm_up,
    ones_norm,
    up,
)

SMOOTH_ULPS = 16
"""Assumed accuracy of NumPy's binary64 tanh and exp, in units of the last place."""


class Binary64:
    """Activations are ``float64 [N, n]``, upper bounds :class:`Up`.

    ``guard >= 1`` multiplies what this machine's own roundings may lose.
    """

    largest = BINARY64.largest
    """Above this nothing is judged: this machine itself may overflow."""
    tiny = BINARY64.tiny
    """What an underflow here can lose."""

    ranks, cut = 54, 0.0
    """Bits after which weights of ranks are left out, and the share of a sum so lost (none: less
    than the roundings charged)."""
    rounding = 4 * UNIT
    """Covers a subtraction of two matrices, as a share of the sum of their norms."""
    bulk = 1
    """So many times more memory than floats its numbers take."""
    exactly = False
    """Whether values are those of real arithmetic, up to what ``settle`` cuts off."""

    def __init__(self, guard: float = 1.0) -> None:
        """``guard``: an issuer takes more than 1, so that another machine confirms its claims."""
        self.guard = guard
        self.prepared: dict[tuple[int, str], Any] = {}

    def upper(self, value: float | Fraction) -> Up:
        """A number, rounded up."""
        return Up(ceiling(value))

    def uppers(self, values: Floats) -> Up:
        """Non-negative activations as bounds, one each."""
        return Up(values)

    def array(self, values: NDArray[np.floating[Any]]) -> Floats:
        """Numbers of a file as activations, exactly."""
        return np.asarray(values, dtype=np.float64)

    def gamma(self, count: int, arithmetic: Arithmetic) -> Up | None:
        """The relative error of ``count`` roundings; None in real arithmetic, infinite from 1/2."""
        error = gamma(count, arithmetic.unit)
        return None if error == 0 else Up(error if error <= 0.5 else math.inf)

    def ones(self, count: int, norm: str) -> Up:
        """The norm of ``count`` ones."""
        return Up(ones_norm(count, norm))

    def root(self, bound: Up) -> Up:
        """Square root of a bound."""
        return Up(up(up(np.sqrt(bound.value))))

    def norm(self, values: Floats, norm: str) -> Up:
        """Norms along the last axis."""
        return Up(norm_up(values, norm))

    def norm_of(self, bounds: Sequence[Up], norm: str) -> Up:
        """The norm of a vector of bounds, each ``[N]`` or a number."""
        return Up(norm_up(np.stack([bound.value for bound in bounds], axis=-1), norm))

    def stack(self, bounds: Sequence[Up]) -> Up:
        """Rows of bounds, one below the other."""
        return Up(np.stack([bound.value for bound in bounds]))

    def enlarge(self, values: Floats, count: int) -> Floats:
        """Non-negative numbers that ``count`` roundings made, raised by what these may lose."""
        return np.asarray(inflate(values, count))

    def largest_sum(self, absolute: Floats, axis: int) -> Up:
        """The largest sum of non-negative numbers along ``axis`` of a matrix."""
        return Up(float(np.max(inflate(absolute.sum(axis=axis), absolute.shape[axis]))))

    def most(self, bound: Up) -> Up:
        """The largest of each row of bounds."""
        return Up(bound.value.max(axis=1))

    def holds(self, bound: Up, number: Fraction) -> bool:
        """Whether a bound is at most ``number``; NaN is not."""
        return bool(float(bound.value) <= number)

    def fits(self, bound: Up, limit: float) -> NDArray[np.bool_]:
        """Whether each bound is at most ``limit``; NaN is not."""
        return np.asarray(bound.value <= limit)

    def product(self, values: Floats, weight: Floats) -> Floats:
        """``[N, n]`` times the transpose of ``[m, n]``."""
        return np.asarray(values @ weight.T)

    def multiply(self, left: Floats, right: Floats) -> Floats:
        """A product of matrices."""
        return np.asarray(left @ right)

    def bilinear(self, function: Callable[..., Any], *values: Floats) -> Floats:
        """``function`` adds up products of the last values with what it selects of the others."""
        return np.asarray(function(*values))

    def lost_in_product(self, first: Floats, second: Floats) -> Up:
        """What the Frobenius norm of a product of matrices can be off by."""
        sizes = self.norm(first.reshape(-1), "l2") * self.norm(second.reshape(-1), "l2")
        return sizes * gamma(first.shape[1] + 2, UNIT) + 2.0**-900

    def fractions(self, whole: NDArray[np.object_], bits: int) -> Floats:
        """Integers times ``2 ** -bits``, within a rounding."""
        return np.asarray(whole / (1 << bits), dtype=np.float64)

    def unity(self, count: int) -> float:
        """What a sum of ``count`` roundings of products with roots of unity is off by, relatively;
        twice, for both parts."""
        return 2 * gamma(count, UNIT)

    def floats(self, values: Floats) -> Floats:
        """Numbers as floats, about."""
        return values

    def divide(self, values: Floats, by: Floats | float) -> Floats:
        """Quotients."""
        return np.asarray(values / by)

    def square_roots(self, values: Floats) -> Floats:
        """Roots of non-negative numbers."""
        return np.asarray(np.sqrt(values))

    def select(self, function: Callable[..., Any], *values: Floats) -> Floats:
        """``function`` moves, selects, changes signs, adds or subtracts numbers of one grid."""
        return np.asarray(function(*values))

    def smooth(self, function: Callable[[Any], Any], _: Any, values: Floats) -> tuple[Floats, Any]:
        """A smooth function with slopes of at most 1, and what each component may be off by."""
        return np.asarray(function(values)), (2 * SMOOTH_ULPS + 8) * 2 * UNIT

    def settle(self, values: Floats) -> tuple[Floats, float]:
        """Activations as they are kept, and what keeping them cost each component."""
        return values, 0.0

    def lost(self, count: int, sizes: Up, small: Up, unit: float) -> Up:
        """What ``count`` of this machine's own roundings of sums of ``sizes`` can amount to."""
        own = sizes * gamma(count, UNIT) if count else sizes * 0.0
        return own + small * (2 * BINARY64.tiny)
