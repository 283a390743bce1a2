"""Exact matrices of integers and fixed-point numbers rounded up; the tools of ``--exact``.

A number ``v`` stands for ``v * 2**-SCALE`` (bounds) or ``v * 2**-FINE`` (activations). Products are
exact (python-flint); every rounding is an integer floor or ceiling, and each one is accounted for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.errors import Unsupported

SCALE = 320
FINE = 64

Integers = NDArray[np.object_]


class Dyadic(NamedTuple):
    """A matrix ``values * 2**-shift`` of integers (``object`` array), exactly."""

    values: Integers
    shift: int


def dyadic(array: NDArray[np.floating[Any]]) -> Dyadic:
    """A float array, exactly."""
    mantissa, exponent = np.frexp(array.astype(np.float64))
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    exponent = np.where(whole == 0, 0, exponent) - 53
    low = min(int(exponent.min(initial=0)), 0)
    shifted = whole.astype(object) << (exponent - low).astype(object)
    return Dyadic(shifted, -low)


def fixed(value: float, scale: int = SCALE) -> int:
    """``value`` as a fixed-point number, rounded up."""
    numerator, denominator = value.as_integer_ratio()
    return -((-numerator << scale) // denominator)


def times(*factors: Any) -> Any:
    """Product of fixed-point numbers (or arrays of them), rounded up."""
    product = factors[0]
    for factor in factors[1:]:
        product = -((-product * factor) >> SCALE)
    return product


def rescale(values: Any, have: int, want: int) -> Any:
    """From scale ``have`` to ``want``, rounded down."""
    return values << (want - have) if want >= have else values >> (have - want)


def rescale_up(values: Any, have: int, want: int) -> Any:
    """From scale ``have`` to ``want``, rounded up."""
    return -rescale(-values, have, want)


def root_up(value: int) -> int:
    """Integer square root, rounded up."""
    return math.isqrt(value - 1) + 1 if value > 0 else 0


_roots = np.frompyfunc(root_up, 1, 1)


def norm(values: Integers, kind: str) -> Integers:
    """Norm along the last axis, rounded up to the same scale."""
    sizes = abs(values)
    if kind == "linf":
        return np.asarray(sizes.max(axis=-1), dtype=object)
    if kind == "l1":
        return np.asarray(sizes.sum(axis=-1), dtype=object)
    return np.asarray(_roots((values * values).sum(axis=-1)), dtype=object)


def matrix(values: Integers) -> Any:
    """A python-flint integer matrix."""
    try:
        from flint import fmpz_mat
    except ImportError:
        raise Unsupported("--exact", "needs python-flint: pip install python-flint") from None
    rows, columns = values.shape
    return fmpz_mat(rows, columns, values.reshape(-1).tolist())


def unpack(product: Any) -> Integers:
    """A python-flint integer matrix as an object array."""
    flat: Sequence[Any] = product.entries()
    out = np.empty(len(flat), dtype=object)
    out[:] = [int(entry) for entry in flat]
    return out.reshape(product.nrows(), product.ncols())
