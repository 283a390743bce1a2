"""A reproduction that is interrupted leaves resumable jobs, which end with the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lipsort_cli.reproduction.jobs import Job
from lipsort_cli.reproduction.pool import run

OVERRIDES = (
    "model.widths=[32,32]", "training.epochs=150", "training.batch_size=64", "training.log_every=5",
    "training.checkpoint_seconds=1000", "evaluation.attack.points=0", "evaluation.arithmetic=real",
    "data.validation=0", "threads=1", "device=cpu",
)  # fmt: skip
SCRIPT = """
import sys
from pathlib import Path
from lipsort_cli.reproduction.jobs import Job
from lipsort_cli.reproduction.pool import run
run([Job("train", tuple(sys.argv[2:]), Path(sys.argv[1]))], 1, lambda *_: None)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_job_goes_on_where_it_was(tmp_path: Path, number: int) -> None:
    broken, whole = (Job("train", OVERRIDES, tmp_path / name) for name in ("broken", "whole"))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(broken.directory), *OVERRIDES],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    metrics = broken.directory / "metrics.jsonl"
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 4:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    # A killed parent cannot ask its worker to stop: the worker sees that it is gone.
    process.send_signal(number)
    assert process.wait(60) != 0
    record = broken.directory / "run.json"
    while json.loads(record.read_text())["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert json.loads(record.read_text())["status"] == "interrupted"
    assert not broken.finished
    answers = run([broken, whole], 2, lambda *_: None)
    assert {answer["status"] for answer in answers.values()} == {"finished"}
    assert json.loads(record.read_text())["resumed"] == 1
    first, second = (job.directory / "model.safetensors" for job in (broken, whole))
    assert first.read_bytes() == second.read_bytes()
