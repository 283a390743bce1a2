"""Real numbers as balls of high precision (python-flint's ``arb``): rigorous, never rounded away.

A value is an object array of balls, each of which is proven to contain the real number. Precision
is high enough for differences of 1e-45 beside 1e25 through several layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

PRECISION = 900

_ball = np.frompyfunc(lambda value: arb(float(value)), 1, 1)
_root = np.frompyfunc(lambda value: value.nonnegative_part().sqrt(), 1, 1)
_larger = np.frompyfunc(lambda a, b: a.max(b), 2, 1)
_smaller = np.frompyfunc(lambda a, b: a.min(b), 2, 1)
_tanh = np.frompyfunc(lambda value: value.tanh(), 1, 1)
_sigmoid = np.frompyfunc(lambda value: (1 + (-value).exp()) ** -1, 1, 1)
_lower = np.frompyfunc(lambda value: value.lower(), 1, 1)
_upper = np.frompyfunc(lambda value: value.upper(), 1, 1)
_union = np.frompyfunc(lambda a, b: a.union(b), 2, 1)
_magnitude = np.frompyfunc(abs, 1, 1)


@contextmanager
def precisely() -> Iterator[None]:
    """Inside, balls carry ``PRECISION`` bits; outside, what they carried before."""
    with ctx.workprec(PRECISION):
        yield


def from_fraction(value: Fraction) -> arb:
    """The ball of a rational number."""
    return arb(fmpq(value.numerator, value.denominator))


class Exact:
    """The definitions' arithmetic without rounding; see :mod:`definitions` for how it is used."""

    name = "real"

    def take(self, values: np.ndarray) -> np.ndarray:
        """Floating-point numbers as the reals that they are."""
        return np.asarray(_ball(values.astype(np.float64)), dtype=object)

    def constant(self, value: float) -> arb:
        return arb(value)

    def complement(self, value: float) -> arb:
        """``1 - value``."""
        return 1 - arb(value)

    def add(self, left: Any, right: Any) -> np.ndarray:
        return left + right

    def subtract(self, left: Any, right: Any) -> np.ndarray:
        return left - right

    def multiply(self, left: Any, right: Any) -> np.ndarray:
        return left * right

    def divide(self, left: Any, right: Any) -> np.ndarray:
        return left / right

    def square_root(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(_root(values), dtype=object)

    def absolute(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(_magnitude(values), dtype=object)

    def maximum(self, left: Any, right: Any) -> np.ndarray:
        return np.asarray(_larger(left, right), dtype=object)

    def minimum(self, left: Any, right: Any) -> np.ndarray:
        return np.asarray(_smaller(left, right), dtype=object)

    def largest(self, values: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(_larger.reduce(values, axis=axis), dtype=object)

    def ascending(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Sorted: the k-th smallest number lies between the k-th smallest lower and upper ends."""
        return self.monotone(lambda ends: np.sort(ends, axis=axis), values)

    def monotone(self, function: Any, values: np.ndarray) -> np.ndarray:
        """``function``, nowhere falling in any component, of sharp numbers, applied to balls."""
        return np.asarray(_union(function(_lower(values)), function(_upper(values))), dtype=object)

    def affine(
        self, values: np.ndarray, weights: np.ndarray, bias: np.ndarray | None
    ) -> np.ndarray:
        """``sum_k values[n, m, k] weights[m, k] + bias[m]``."""
        total = (values * self.take(weights)).sum(axis=-1)
        return total if bias is None else total + self.take(bias)

    def total(self, values: np.ndarray) -> np.ndarray:
        return values.sum(axis=-1)

    def squares(self, values: np.ndarray) -> np.ndarray:
        """The sum of squares along the last axis."""
        return (values * values).sum(axis=-1)

    def tanh(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(_tanh(values), dtype=object)

    def sigmoid(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(_sigmoid(values), dtype=object)

    def choose(self, *spellings: str) -> str:
        """Of several spellings of one formula, the first: they all mean the same real number."""
        return spellings[0]


EXACT = Exact()
