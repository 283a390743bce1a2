"""Orderings over seeds: closed forms, pairing, and what is never taken for an ordering."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipsort_cli.reproduction.statistics import Sample, above, below, greater

NUMBERS = st.floats(-1e6, 1e6)


def sample(*values: float) -> Sample:
    return Sample(dict(enumerate(values)))


def test_closed_form_of_three_seeds() -> None:
    test = above(sample(1.0, 2.0, 3.0), 0.0)
    assert (test.mean, test.deviation, test.count) == (2.0, 1.0, 3)
    # Student's t with two degrees of freedom: 0.95 = 1/2 + t / (2 sqrt(2 + t^2)).
    t = math.sqrt(2 * 0.9**2 / (1 - 0.9**2))
    assert test.limit == pytest.approx(2.0 - t / math.sqrt(3))
    assert test.holds
    assert not above(sample(1.0, 2.0, 3.0), 0.5).holds


def test_one_lucky_run_is_no_ordering() -> None:
    assert greater(sample(5.0, 1.0, 1.0), sample(1.0, 1.0, 1.0)).holds is False
    single = greater(sample(5.0), sample(1.0))
    assert not single.tested and not single.holds
    assert "not tested" in single.words("a")
    assert not above(sample(), 0).holds
    assert not above(sample(math.nan, 1.0, 1.0), 0).holds


def test_pairs_by_seed() -> None:
    # What a seed does to both cancels: the difference is 1 for each.
    first, second = sample(1.0, 11.0, 101.0), sample(0.0, 10.0, 100.0)
    assert greater(first, second, 0.9).holds
    assert not greater(first, second, 1.0).holds, "the margin itself is not exceeded"
    assert greater(first, Sample({1: 10.0, 2: 100.0, 7: 1e9})).count == 2
    assert not greater(Sample({0: 1.0}), Sample({1: 0.0})).tested


def test_ties_do_not_hold() -> None:
    assert not greater(sample(1.0, 1.0, 1.0), sample(1.0, 1.0, 1.0)).holds


@given(st.lists(NUMBERS, min_size=2, max_size=6), NUMBERS)
def test_lower_limit_is_below_the_mean_and_moves_with_the_values(
    values: list[float], shift: float
) -> None:
    test = above(sample(*values), 0.0)
    assert test.limit <= test.mean + 1e-6
    moved = above(sample(*(v + shift for v in values)), 0.0)
    assert moved.limit == pytest.approx(test.limit + shift, abs=1e-3, rel=1e-6)


def test_a_claim_of_less_is_tested_and_said_as_such() -> None:
    found = sample(0.86, 0.87, 0.88)
    less = below(found, 0.98)
    assert less.holds and not below(found, 0.87).holds
    assert less.limit - less.mean == pytest.approx(less.mean - above(found, 0.0).limit)
    assert less.words("kept").startswith("kept: mean 0.87, ")
    assert less.words("kept").endswith("95% upper limit 0.8869 < 0.98")
    assert below(found, 0.5).words("kept").endswith("0.8869 not < 0.5")
    assert not below(sample(math.nan, 1.0), 9).holds


def test_text_of_a_sample() -> None:
    assert sample(1.0, 2.0, 3.0).text(1) == "2.0 ± 1.0"
    assert sample(0.5).text(1, scale=100) == "50.0 ± 0.0"
    assert sample().text() == "-"
