"""Numbers of any dtype as sums of binary64, so that what would be rounded is seen first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Parts = tuple[Array, Array | None]
"""``(hi, lo)``: the nearest binary64 and what is left of the number; lo None where that is 0."""

_RATIO = 2.0**8
"""A shift is worth taking off where a column lies this many of its widths away from 0; where
float32 holds every number all the same, the square of it."""


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """s = fl(a + b) and e with s + e = a + b exactly (Knuth, TAOCP 2, 4.2.2)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def parts(values: NDArray[Any]) -> Parts:
    """``values`` of any real dtype as hi + lo, exactly.

    Raises:
        ValueError: no real numbers, or one needs more than 106 bits (of a quadruple-precision
            float).

    Example:
        >>> hi, lo = parts(np.array([2**53 + 1]))
        >>> int(hi[0]) + int(lo[0]) == 2**53 + 1
        True
    """
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind not in "biuf":
        raise ValueError(f"found {values.dtype}, which is no real number")
    if kind == "b" or (kind in "iu" and size <= 4) or (kind == "f" and size <= 8):
        return values.astype(np.float64), None
    if kind in "iu":
        # Halves of 32 bits are exact; the low one of a negative number counts up from the high.
        low = (values & values.dtype.type(0xFFFFFFFF)).astype(np.float64)
        high = ((values >> values.dtype.type(32)).astype(np.float64)) * 2.0**32
        hi, lo = two_sum(high, low)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            hi = values.astype(np.float64)
            rest = np.where(np.isfinite(hi), values - hi, 0)
        lo = rest.astype(np.float64)
        if (lo != rest).any():
            raise ValueError(f"{values.dtype} holds numbers of more than 106 bits")
    return hi, lo if lo.any() else None


def as_binary64(values: NDArray[Any]) -> Array:
    """``values`` as binary64 of the same shape.

    Raises:
        ValueError: one of them is no binary64.
    """
    hi, lo = parts(np.asarray(values))
    if lo is not None:
        raise ValueError(words_of(values, lo))
    return hi


def words_of(values: NDArray[Any], lo: Array) -> str:
    """What a message says of the first number that binary64 would round."""
    worst = values.ravel()[int(np.flatnonzero(lo.ravel())[0])]
    return (
        f"found {worst} ({values.dtype}), which binary64 rounds to "
        f"{int(np.float64(worst)) if values.dtype.kind in 'iu' else np.float64(worst)}"
    )


def moved(hi: Array, lo: Array | None, shift: Array) -> Parts:
    """hi + lo - shift, rounded once; the second part is what that rounding left out, or None."""
    difference, left = two_sum(hi, np.broadcast_to(-shift, hi.shape))
    left, lost = two_sum(left, np.zeros_like(left) if lo is None else lo)
    value, error = two_sum(difference, left)
    error = np.abs(error) + np.abs(lost)
    return value, error if error.any() else None


def common_shift(
    low: Array, high: Array, fine: NDArray[np.bool_], rest: NDArray[np.bool_]
) -> Array:
    """What to take off each of d columns so that float32 and binary64 keep their differences.

    Args:
        low: smallest number of each column [d], over all samples that are compared.
        high: largest.
        fine: whether the column has numbers that are no float32 [d].
        rest: whether it has numbers that are no binary64 [d].

    Returns:
        [d]: 0 for columns that need none; else at most ``low``, a multiple of a power of two near
        the column's width, so that differences from it are exact where that is possible at all.
    """
    width = high - low
    far = np.maximum(np.abs(low), np.abs(high))
    near = (far == 0) | (far < _RATIO * width)
    needed = (fine & ~near) | ((width > 0) & (far >= _RATIO**2 * width)) | rest
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        grid = 2.0 ** np.ceil(np.log2(np.where(width > 0, width, 1.0)))
        shift = np.where(width > 0, np.floor(low / grid) * grid, low)
    return np.where(needed & np.isfinite(shift), shift, 0.0)


def blurred(values: NDArray[Any], rounded: NDArray[np.float32]) -> tuple[int, str] | None:
    """The first column of ``values`` [n, d] that ``rounded`` misses by more than 1/256 of its
    width, and what a message says of it; None where there is none.

    Those do not count that are constant but for a few roundings of their own dtype.
    """
    error = np.abs(values - rounded).max(0)
    width = values.max(0) - values.min(0)
    noise = 16 * np.finfo(values.dtype).eps * np.abs(values).max(0)
    found = np.flatnonzero((error * _RATIO > width) & (width > noise))
    if not len(found):
        return None
    column = values[:, found[0]]
    return int(found[0]), (
        f"runs from {column.min()} to {column.max()}, and float32 would lose its differences; take "
        "a common number off first"
    )


def shift_words(shift: Array, names: tuple[str, ...] | None = None) -> str:
    """One sentence that says what was taken off which coordinates."""
    columns = np.flatnonzero(shift)
    shown = [
        f"{_number(shift[j])} off {repr(names[j]) if names else f'coordinate {j}'}"
        for j in columns[:3]
    ]
    more = f" and others of {len(columns)} coordinates" if len(columns) > 3 else ""
    return (
        f"taken {', '.join(shown)}{more} of both samples, exactly: their distance stays the same, "
        "and float32 keeps their differences"
    )


def _number(value: float) -> str:
    exact = int(value) == value and abs(value) < 2.0**70
    return str(int(value)) if exact else repr(float(value))
