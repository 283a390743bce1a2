"""Sweeps through Hydra's launchers: several processes here, or a cluster's jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lipsort_cli.cli.sweeps import Farewell, statuses

SMALL = [
    "model.widths=[16,16]",
    "training.epochs=1",
    "evaluation.attack.points=0",
    "device=cpu",
    "threads=1",
]


def sweep(folder: Path, *overrides: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lipsort_cli", "train", "-m", "hydra.sweep.dir=sweep", *overrides],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(folder: Path, seeds: list[int]) -> None:
    for number, seed in enumerate(seeds):
        record = json.loads((folder / "sweep" / str(number) / "run.json").read_text())
        assert (record["status"], record["seed"]) == ("finished", seed)
        assert (folder / "sweep" / str(number) / "results.json").is_file()


def test_submitit_runs_every_job(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="extra launchers is absent")
    shown = sweep(tmp_path, "hydra/launcher=submitit_local", "seed=3,4", *SMALL)
    check(tmp_path, [3, 4])
    assert "2 jobs: 2 finished" in shown and "Report: sweep/report" in shown


@pytest.mark.slow
def test_a_preset_is_swept_with_joblib(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="extra launchers is absent")
    small = [text for text in SMALL if "widths" not in text]
    shown = sweep(tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
                  "experiment=demo_digits", "seed=3,4", *small)  # fmt: skip
    check(tmp_path, [3, 4])
    assert "2 jobs: 2 finished" in shown


def test_a_sweep_ends_with_what_became_of_its_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from omegaconf import OmegaConf

    for number, status in enumerate(["finished", "failed", "finished"]):
        (tmp_path / str(number)).mkdir()
        text = json.dumps({"command": "train", "status": status})
        (tmp_path / str(number) / "run.json").write_text(text)
    (tmp_path / "3").mkdir()  # a job that never began
    (tmp_path / "data").mkdir()  # no job's
    ended = {"0": "finished", "1": "failed", "2": "finished", "3": "without a record"}
    assert statuses(tmp_path, {}) == ended
    # One that was refused: because of the run of another configuration that lies there.
    assert statuses(tmp_path, {tmp_path / "2": "failed"})["2"] == "failed"
    monkeypatch.setattr(Farewell, "jobs", {tmp_path / "3": "failed"})
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    Farewell().on_multirun_end(config)
    shown, warned = capsys.readouterr()
    assert "4 jobs: 2 finished, 2 failed" in shown and str(tmp_path) in shown
    assert "not finished: 1 (failed), 3 (failed)" in warned
    assert (tmp_path / "report" / "report.html").is_file()
    Farewell.jobs.clear()
    Farewell().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": "/nowhere"}}}))
    assert capsys.readouterr().out == ""
