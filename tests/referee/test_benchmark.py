"""benchmarks/soundness.py as anyone would run it, small; and that it does report violations."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soundness.py"
PARTS = {"norms", "errors", "deployed", "radii", "w1", "coverage", "attacks"}


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """In this process, which has loaded torch; that it starts by itself has its own test."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import soundness

    monkeypatch.setattr(sys, "argv", [SCRIPT.name, *options])
    return int(soundness.main())


def test_all_parts_run_and_find_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--scale", "0.004", "--output", str(tmp_path / "found.json")) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found) == PARTS
    for name, figures in found.items():
        assert figures["violations"] == 0 and figures["checked"] > 0, name
    assert found["errors"]["closest"] > 0.5


def test_a_violation_ends_in_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import soundness
    from tally import Tally

    def wrong(rng: np.random.Generator, tally: Tally, op: str) -> None:
        tally.count([op], 1, 2.0)
        tally.violate(f"{op} is wrong")

    monkeypatch.setitem(soundness.TRIALS, "norms", (wrong, 10, 0))
    assert run(monkeypatch, "--only", "norms") == 1
