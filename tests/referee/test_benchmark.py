"""benchmarks/soundness.py as anyone would run it, small; and that it does report violations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soundness.py"
PARTS = {"norms", "errors", "deployed", "radii", "w1", "coverage", "attacks"}


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_all_parts_run_and_find_nothing(tmp_path: Path) -> None:
    done = run(SCRIPT, "--scale", "0.002", "--output", str(tmp_path / "found.json"))
    assert done.returncode == 0, done.stdout + done.stderr
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
    monkeypatch.setattr(sys, "argv", ["soundness.py", "--only", "norms"])
    assert soundness.main() == 1
