"""Printed bounds stay bounds."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipsort_cli.directed_text import at_least, at_most, share_down

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, st.integers(1, 20))
def test_printed_bounds_enclose_the_exact_value_closely(value: float, digits: int) -> None:
    low, high = Decimal(at_least(value, digits)), Decimal(at_most(value, digits))
    assert low <= Decimal(value) <= high
    width = Fraction(high) - Fraction(low)
    assert width <= abs(Fraction(value)) * Fraction(10) ** (1 - digits)


@pytest.mark.parametrize(
    ("value", "digits", "low", "high"),
    [
        (1.0, 6, "1", "1"),
        (0.0, 6, "0", "0"),
        (-2 / 3, 3, "-0.667", "-0.666"),
        (0.1, 3, "0.1", "0.101"),
        (0.9999999, 3, "0.999", "1"),
        (123456.7, 3, "1.23e+5", "1.24e+5"),
        (123456.7, 6, "123456", "123457"),
        (100.0, 6, "100", "100"),
        (math.inf, 3, "inf", "inf"),
    ],
)
def test_known_roundings(value: float, digits: int, low: str, high: str) -> None:
    assert at_least(value, digits) == low
    assert at_most(value, digits) == high


@given(st.integers(1, 100_000), st.data())
def test_a_share_of_points_is_never_overstated(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    shown = Fraction(share_down(count / total).removesuffix("%"))
    exact = Fraction(100 * count, total)
    assert shown <= exact < shown + Fraction(1, 100)


@pytest.mark.parametrize("percent", range(101))
def test_whole_percentages_are_shown_as_such(percent: int) -> None:
    assert share_down(percent / 100) == f"{percent}.00%"
    assert share_down(percent / 100, 0) == f"{percent}%"


def test_no_percentage_of_nan() -> None:
    with pytest.raises(ValueError, match="nan"):
        share_down(math.nan)
