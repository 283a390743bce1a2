"""Sweeps whose jobs run in other processes: no orphans, and the same last words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="extra launchers is absent")

JOBLIB = [sys.executable, "-m", "lipsort_cli", "train", "-m", "hydra/launcher=joblib",
          "hydra.launcher.n_jobs=2", "data=toy", "data.points=60", "model.widths=[4]",
          "hydra.sweep.dir=o"]  # fmt: skip


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_jobs_end_with_their_sweep_and_leave_what_can_be_resumed(
    number: int, tmp_path: Path
) -> None:
    line = [*JOBLIB, "training.epochs=1000000", "seed=0,1"]
    logs = [tmp_path / "o" / job / "metrics.jsonl" for job in "01"]
    with subprocess.Popen(
        line,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as sweep:
        until = time.monotonic() + 120
        while not all(log.exists() and log.stat().st_size for log in logs):
            assert sweep.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        workers = [json.loads((log.parent / "run.json").read_text())["pid"] for log in logs]
        assert all(map(alive, workers)) and sweep.pid not in workers
        sweep.send_signal(number)
        while any(map(alive, workers)) and time.monotonic() < until:
            time.sleep(0.1)
        left = [pid for pid in workers if alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        _, said = sweep.communicate(timeout=60)
    assert not left, "orphans"
    for log in logs:
        assert json.loads((log.parent / "run.json").read_text())["status"] == "interrupted"
        assert (log.parent / "checkpoint" / "state.pt").is_file()
    if number == signal.SIGTERM:
        assert sweep.returncode == 130 and b"resume=o" in said


def test_failing_jobs_are_named_and_counted(tmp_path: Path) -> None:
    line = [*JOBLIB, "training.epochs=6", "evaluation.attack.points=0", "optimizer=sgd",
            "constraint=none", "optimizer.lr=0.01,1e38", "loss=cross_entropy"]  # fmt: skip
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "Sweep: o (2 jobs: 1 finished, 1 failed)" in done.stdout
    assert "optimizer.lr=1e+38" in done.stderr and "not finished: 1 (failed)" in done.stderr
