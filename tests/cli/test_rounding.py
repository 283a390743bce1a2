"""Printed bounds stay bounds."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipsort_cli
from lipsort_cli.directed_text import at_least, at_most, confidence, fixed, share_down
from lipsort_cli.reproduction import studies
from lipsort_cli.reproduction.statistics import Sample

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


@given(st.floats(5e-324, 1, exclude_max=True))
def test_a_confidence_is_never_overstated(failure: float) -> None:
    _, _, first = confidence(failure).partition(" ")
    text, _, rest = first.partition(" - ")
    shown = Fraction(text) - Fraction(rest or 0)
    # The number that a user wrote is its nearest double.
    assert shown < 1 and shown <= 1 - Fraction(failure) + Fraction(1, 2**52)


@pytest.mark.parametrize("said", [0.95, 0.9, 0.999, 0.3, 0.9999999, 0.95000001])
def test_a_confidence_is_said_as_it_was_asked_for(said: float) -> None:
    assert confidence(1 - said) == f"confidence {said!r}"


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


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_fixed_decimals_of_a_bound_keep_to_its_side(value: float, places: int) -> None:
    low, high = Decimal(fixed(value, places, "down")), Decimal(fixed(value, places, "up"))
    slack = Decimal(4 * math.ulp(value))
    assert low <= Decimal(value) + slack and Decimal(value) - slack <= high
    assert high - low <= Decimal(1).scaleb(-places)


@pytest.mark.parametrize("count", range(0, 1001, 7))
def test_a_share_in_per_cent_is_itself(count: int) -> None:
    assert fixed(100 * (count / 1000), 1, "down") == f"{count / 10:.1f}"


# --- every proven figure that is printed ----------------------------------------------------------

PACKAGE = Path(lipsort_cli.__file__).parent
BESIDE = {"clean_accuracy", "seconds"}
"""Names of figures that are said beside a proven one, and are none themselves."""


def rounded_to_nearest(path: Path) -> Iterator[str]:
    """Figures in texts that speak of what is proven, printed to the nearest decimal."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        words = "".join(str(v.value) for v in node.values if isinstance(v, ast.Constant))
        for value in node.values if "proven" in words else []:
            if isinstance(value, ast.FormattedValue) and value.format_spec is not None:
                spec = ast.unparse(value.format_spec)
                if re.search(r"\.\d*[gfe%]|[gfe%]'$", spec):
                    yield f"{path.name}: {ast.unparse(value.value)} in {words[:60]!r}"


def test_no_text_of_what_is_proven_rounds_to_the_nearest() -> None:
    found = [line for path in PACKAGE.rglob("*.py") for line in rounded_to_nearest(path)]
    assert [line for line in found if not any(name in line for name in BESIDE)] == []


PROVEN = {"lower_bound", "upper_bound", "lipschitz_bound", "certified_accuracy"}
"""What a run's results call what is proven."""


def is_bound(node: ast.AST) -> bool:
    """Whether it is what ``bound_from`` is given: a function below it, or its argument.

    What reads the radii of a claim reads no figure.
    """
    if isinstance(node, ast.FunctionDef) and node.name == "radii":
        return True
    makers = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    if isinstance(node, ast.Call):
        makers = [node.func]
    return any(ast.unparse(maker).startswith("bound_from(") for maker in makers)


def test_every_proven_figure_of_the_paper_s_studies_says_its_side() -> None:
    listed = 0
    for path in Path(str(studies.__file__)).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        sided = {id(part) for node in ast.walk(tree) if is_bound(node) for part in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in PROVEN:
                listed += 1
                assert id(node) in sided, f"{path.name}: {node.value}, line {node.lineno}"
    assert listed >= 4
    assert Sample({0: 0.29999}, "down").text(2).startswith("0.29 ")
    assert Sample({0: 1.00001}, "up").text(4).startswith("1.0001 ")


def test_no_percentage_of_nan() -> None:
    with pytest.raises(ValueError, match="nan"):
        share_down(math.nan)
