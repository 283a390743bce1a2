"""Runs killed at random moments end as if nobody had touched them: benchmarks/kills.py, briefly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KILLS = Path(__file__).resolve().parents[2] / "benchmarks" / "kills.py"


def test_a_run_of_every_task_survives_a_kill() -> None:
    ended = subprocess.run(
        [sys.executable, str(KILLS), "--kills", "4", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert sum("1 kills of 1 runs; 0 differ" in line for line in lines) == 4
