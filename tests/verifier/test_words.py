"""Proven numbers in words stay on the true side of the exact value."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from lipsort_cli.verifier.classification import at_least, at_most
from lipsort_cli.verifier.w1 import w1_statement


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_words_round_to_the_safe_side(value: float) -> None:
    assert Fraction(at_least(value)) <= Fraction(value) <= Fraction(at_most(value))
    assert float(at_most(value)) - float(at_least(value)) <= 1e-10 * value


def test_known_words() -> None:
    assert at_most(1 + 2.0**-50) == "1.00000000001"
    assert at_least(1 + 2.0**-50) == "1"
    assert (at_most(0.0), at_least(0.0), at_most(100.0)) == ("0", "0", "100")
    assert "at least 0.0999999999999." not in w1_statement("l2", 0.1, 3, 4)
    assert "at least 0.1. " in w1_statement("l2", 0.1, 3, 4)  # the double lies above 1/10
    assert "at least 0.299999999999. " in w1_statement("l2", 0.3 - 2.0**-54, 3, 4)
