"""Text in Hydra's grammar: what is shown to be typed is read as what was meant."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from lipsort_cli.data.options import Options, index_columns
from lipsort_cli.errors import UsageError
from lipsort_cli.quoting import list_override, word, word_list

WORDS = [
    *("null", "NULL", "true", "False", "1e3", "1_000", "inf", "-nan", "1.", ".5", "+1", "-1"),
    *("", "a b", "z(1)", "ä", "~/x", "a~b", "it's", 'say "x"', "a,b", "[1]", "a\\", "k=v", "$x"),
]
PLAIN = ["x", "feature_00", "a/b-c.csv", "0", "12", "1a", "nullable", "..", "a@b"]


@pytest.mark.parametrize("value", [*WORDS, *PLAIN])
def test_a_word_is_read_as_the_text_it_is_of(value: str) -> None:
    for text, read in ((f"k={word(value)}", value), (f"k={word_list([value, 'b'])}", [value, "b"])):
        found = OverridesParser.create().parse_override(text).value()
        plain = [str(one) for one in found] if isinstance(found, list) else str(found)
        assert plain == read
    assert (word(value) == value) == (value in PLAIN)


@given(st.text("aeEnulfity01_+-.~/", max_size=6))
@example("1_0e-1_0")
def test_no_other_word_is_taken_for_text(value: str) -> None:
    found = OverridesParser.create().parse_override(f"k={word(value)}").value()
    assert str(found) == value and found is not None


@pytest.mark.parametrize("names", [["null", "b"], ["a b"], ["it's", 'say "x"', "$x", "`"], ["x"]])
def test_a_list_is_typed_into_a_shell(names: list[str]) -> None:
    typed = list_override("k", names)
    (text,) = shlex.split(typed)
    assert OverridesParser.create().parse_override(text).value() == names
    assert (typed == "k=[x]") == (names == ["x"])


def test_columns_named_like_other_values_are_left_out_as_the_hint_says() -> None:
    names = ["id", "null", "b", "true", "1e3", "1_000", "z(1)", "y"]
    rows = [[str(i), *(f"{i % 3}.5" for _ in names[2:]), "1"] for i in range(12)]
    with pytest.raises(UsageError) as caught:
        index_columns(Path("t.csv"), names, rows, Options(apart=("y",)))
    hints = re.findall(r'("data\.columns=\[.*?\]") (?:leaves it out|keeps it)', str(caught.value))
    read = [OverridesParser.create().parse_override(*shlex.split(hint)).value() for hint in hints]
    assert read == [names[1:-1], names[:-1]]
