"""Runs killed at random moments end as if nobody had touched them: benchmarks/kills.py, briefly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).resolve().parents[2] / "benchmarks" / "kills.py"


@pytest.mark.parametrize(
    "tasks",
    # A killed classifier is in test_runs.py too, so that the quick suite has all but the judge.
    [["critic", "gan"], pytest.param(["classifier", "judge"], marks=pytest.mark.slow)],
)
def test_a_run_of_every_task_survives_a_kill(tasks: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, str(KILLS), "--kills", "2", "--seed", "1", "--task", *tasks],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert sum("1 kills of 1 runs; 0 differ" in line for line in lines) == 2
