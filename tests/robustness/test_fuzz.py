"""The first tries of the fuzzer; `python benchmarks/fuzz.py` goes on for as long as one likes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import fuzz
import pytest


def test_random_options_and_damaged_files_end_in_answers(
    shop: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many as there were in a minute once, on every machine the same."""
    tries, found = fuzz.explore(shop, seed=0, tries=200, seconds=float("inf"))
    assert tries == 200 and not found, capsys.readouterr().out


def outcome(code: int, out: str = "", err: str = "", megabytes: float = 0.0) -> fuzz.Outcome:
    return fuzz.Outcome(code, out, err, 1.0, megabytes)


def test_the_judge_knows_defects_from_answers() -> None:
    tried = fuzz.Try(["zoo"], (0, 2), "")
    assert fuzz.verdict(tried, outcome(0)) is None
    assert fuzz.verdict(tried, outcome(2, err="lipsort: no")) is None
    for wrong in (
        outcome(2),
        outcome(1, err="lipsort: no"),
        outcome(-9),
        outcome(0, megabytes=1e6),
        outcome(2, err="Traceback (most recent call last):\n  ...\nValueError: x"),
    ):
        assert fuzz.verdict(tried, wrong) is not None


def test_a_command_that_crashes_does_not_end_the_others(tmp_path: Path) -> None:
    def crash() -> None:
        raise SystemExit  # in the child, before anything is answered

    lines = [(["--version"], tmp_path, fuzz.nothing), (["zoo"], tmp_path, crash),
             (["--version"], tmp_path, fuzz.nothing)]  # fmt: skip
    codes = [one.code for one in fuzz.together(lines)]
    assert codes[0] == codes[2] == 0 and codes[1] != 0


@pytest.mark.parametrize("ending", [".json", ".yaml", ".npz", ".txt"])
def test_damage_damages(ending: str, tmp_path: Path) -> None:
    import numpy as np

    for seed in range(20):
        path = tmp_path / f"{seed}{ending}"
        if ending == ".npz":
            np.savez(path, np.ones((3, 2)))
        else:
            path.write_text('{"a": 1, "b": [2, 3]}')
        before = path.read_bytes()
        assert fuzz.damage(random.Random(seed), path)
        broken = not path.is_file() or path.stat().st_size > 1e6 or path.read_bytes() != before
        assert broken or ending != ".txt"
