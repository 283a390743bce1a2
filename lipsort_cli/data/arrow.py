"""Columns as Arrow holds them, numbers or text, as binary64 and what that leaves of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.data.precision import parts

GAPS = (
    *("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "nil"),
    *(r"\n", "?", "-", "--", "."),
)
"""What stands for a missing number in a text file, in any case."""

TRUTH = ("true", "false")
"""Truth values in a text file, in any case."""


@dataclass(frozen=True)
class Numbers:
    """hi + lo, where the gaps are, and whether lo is of a decimal, which binary64 rounds anyway.

    Of one column [n] and one ``decimal``, or of several [n, d] and [d].
    """

    hi: NDArray[np.float64]
    lo: NDArray[np.float64] | None
    gap: NDArray[np.bool_]
    decimal: Any


class BadValue(Exception):
    """A value that is no number, in row ``row`` of its array."""

    def __init__(self, row: int, value: str) -> None:
        super().__init__(value)
        self.row, self.value = row, value


def numbers(array: Any, decimal: str = ".") -> Numbers:
    """The values [n] of an Arrow array of numbers or text.

    Raises:
        BadValue: one is no number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if pa.types.is_decimal(kind):
        array, kind, decimal = pc.cast(array, pa.string()), pa.string(), "."
    if pa.types.is_string_view(kind) or pa.types.is_null(kind):
        array, kind = pc.cast(array, pa.string()), pa.string()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parsed(array, decimal)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        hint = " (cast times to integers)" if pa.types.is_temporal(kind) else ""
        raise BadValue(0, f"values of type {kind}{hint}")
    gap = np.asarray(pc.is_null(array, nan_is_null=True).to_numpy(zero_copy_only=False))
    filled = pc.fill_null(array, pa.scalar(0).cast(kind))
    hi, lo = parts(filled.to_numpy(zero_copy_only=False))
    return Numbers(np.where(gap, np.nan, hi), lo, gap, False)


def _parsed(array: Any, decimal: str) -> Numbers:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.fill_null(pc.utf8_trim_whitespace(array), pa.scalar("", array.type))
    gap = pc.is_in(pc.utf8_lower(text), pa.array(GAPS, text.type))
    text = pc.if_else(gap, "nan", text)
    if decimal == ",":
        wrong = pc.match_substring(text, ".")
        if pc.any(wrong).as_py():
            row = pc.index(wrong, True).as_py()
            raise BadValue(row, f"{text[row].as_py()!r} where ',' is the decimal sign")
        text = pc.replace_substring(text, ",", ".")
    try:
        hi = np.array(pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        if (bits := _bits(text, gap)) is None:
            raise _first_bad(text) from None
        hi = bits
    lo, rounded = _left_out(text, hi)
    return Numbers(hi, lo, np.asarray(gap.to_numpy(zero_copy_only=False)), rounded)


def _bits(text: Any, gap: Any) -> NDArray[np.float64] | None:
    """Truth values as 1 and 0, as those of Parquet and of arrays; None where others are there."""
    import pyarrow.compute as pc

    true, false = (pc.equal(pc.utf8_lower(text), word) for word in TRUTH)
    if not pc.all(pc.or_(gap, pc.or_(true, false))).as_py():
        return None
    values = pc.if_else(gap, np.nan, pc.if_else(true, 1.0, 0.0))
    return np.array(values.to_numpy(zero_copy_only=False))


def _first_bad(text: Any) -> BadValue:
    import pyarrow as pa
    import pyarrow.compute as pc

    for row, value in enumerate(text):
        try:
            pc.cast(pa.array([value.as_py()]), pa.float64())
        except pa.ArrowInvalid:
            return BadValue(row, repr(value.as_py()))
    raise AssertionError("every value is a number")


DECIMAL = 2.0**-40
"""Share of a column's width that rounding a decimal text may come to: all texts are rounded."""

_DIGITS = re.compile(r"[+-]?(\d*)\.?(\d*)(?:[eE].*)?$")


def _left_out(text: Any, hi: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, bool]:
    """What binary64 leaves of texts of many digits, and whether a decimal is among them.

    A text that is how its binary64 prints to as many digits was a binary64, and nothing is left.
    """
    import pyarrow.compute as pc

    zero = hi == 0
    if (
        zero.any()
        and pc.any(pc.match_substring_regex(text.filter(zero), r"^[+-]?[0.]*[1-9]")).as_py()
    ):
        raise BadValue(int(np.flatnonzero(zero)[0]), "a number too small for binary64")
    lo, decimals = None, False
    finite = hi[np.isfinite(hi)]
    if len(finite) and float(np.abs(finite).max()) * 2.0**-53 <= DECIMAL * float(np.ptp(finite)):
        pattern = r"^[+-]?[0-9]{16,}$"  # integers alone are to be exact
    else:
        pattern = r"[0-9.]{16,}"
    long = pc.match_substring_regex(text, pattern).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(long & np.isfinite(hi)):
        value = text[int(row)].as_py()
        matched = _DIGITS.match(value)
        digits = (matched[1] + matched[2]).lstrip("0") if matched else ""
        if len(digits) < 16 or _printed(hi[row], len(digits)) == digits:
            continue
        left = float(Fraction(value) - Fraction(float(hi[row])))
        if left:
            lo = np.zeros_like(hi) if lo is None else lo
            lo[row] = left
            decimals = decimals or Fraction(value).denominator > 1
    return lo, decimals


def _printed(value: float, digits: int) -> str:
    mantissa = f"{abs(value):.{digits - 1}e}".split("e")[0]
    return mantissa.replace(".", "")
