"""Whole runs of `lipsort train`: the same weights however often interrupted; what is written."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lipsort_cli.certificates.points import CertifiedPoints, certify_points, load_network
from lipsort_cli.cli.launch import launch
from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.data import DigitsData
from lipsort_cli.config.schema import find
from lipsort_cli.config.tree import config_root
from lipsort_cli.data import load
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import write_json
from lipsort_cli.training.classifier import ClassifierTask

SMALL = [
    "model.widths=[32,32]",
    "model.dropout=0.2",  # draws from the global generator, whose state must be kept
    "augmentation.shift=1",
    "training.epochs=6",
    "training.batch_size=64",
    "training.log_every=7",
    "training.checkpoint_seconds=0",
    "evaluation.attack.points=20",
    "evaluation.attack.steps=3",
    "threads=1",
]


STOPPING = """
import os, signal, sys
from lipsort_cli.app import main
from lipsort_cli.training.classifier import ClassifierTask
stop, step = int(sys.argv.pop(1)), ClassifierTask.step
def stopping(self):
    if self.at.step == stop:
        os.kill(os.getpid(), signal.SIGSTOP)
    step(self)
ClassifierTask.step = stopping
main()
"""


def stopped(folder: Path, step: int, *overrides: str) -> subprocess.Popen[str]:
    """A run of `lipsort train` in a process of its own that stands still before ``step``."""
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPING, str(step), "train", *overrides],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), process.communicate()
    return process


def train(folder: Path, *overrides: str) -> None:
    """Run `lipsort train` to its end in this process, in ``folder``."""
    command = find("train")
    assert command is not None
    before = Path.cwd()
    os.chdir(folder)
    try:
        launch(command, list(overrides))
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    train(folder, *SMALL, "hydra.run.dir=run")
    return folder / "run"


def assert_same(run: Path, reference: Path) -> None:
    assert (run / "model.safetensors").read_bytes() == (
        reference / "model.safetensors"
    ).read_bytes()
    assert (run / "metrics.jsonl").read_text() == (reference / "metrics.jsonl").read_text()
    first, second = (json.loads((r / "results.json").read_text()) for r in (run, reference))
    for values in (first, second):
        del values["train_seconds"]
    assert first == second


def test_run_directory(reference: Path) -> None:
    record = json.loads((reference / "run.json").read_text())
    assert record["command"] == "train"
    assert record["status"] == "finished"
    assert record["data"]["name"] == "digits"
    results = json.loads((reference / "results.json").read_text())
    assert 0 <= results["clean_accuracy"] <= 1
    assert set(results["certified_accuracy"]["eps"]) == set(results["attacked_accuracy"]["eps"])
    assert results["lipschitz_bound"] == pytest.approx(1.0, abs=1e-4)
    assert results["parameters"] == 64 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10
    for name in ("figures/robustness.png", "checkpoint/state.pt", ".hydra/config.yaml"):
        assert (reference / name).stat().st_size > 0
    splits = [
        json.loads(line)["split"] for line in (reference / "metrics.jsonl").read_text().splitlines()
    ]
    assert splits.count("validation") == 6


def test_same_seed_same_weights_other_seed_others(reference: Path, tmp_path: Path) -> None:
    train(tmp_path, *SMALL, "hydra.run.dir=same")
    assert_same(tmp_path / "same", reference)
    train(tmp_path, *SMALL, "seed=1", "hydra.run.dir=other")
    other = (tmp_path / "other" / "model.safetensors").read_bytes()
    assert other != (reference / "model.safetensors").read_bytes()


def test_kill_and_resume_ends_with_the_same_weights(reference: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = stopped(tmp_path, 42, *SMALL, "hydra.run.dir=run")
    process.kill()
    process.communicate()
    assert json.loads((run / "run.json").read_text())["status"] == "running"
    train(tmp_path, "resume=run")
    assert_same(run, reference)


def test_termination_exits_130_and_resumes(reference: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = stopped(tmp_path, 21, *SMALL, "hydra.run.dir=run")
    process.terminate()
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "resume=" in output
    assert "Traceback" not in output
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    train(tmp_path, "resume=run")
    assert_same(run, reference)


def test_ctrl_c_again_and_again_ends_with_the_same_weights(
    reference: Path, tmp_path: Path, interrupting: Any
) -> None:
    interrupting(ClassifierTask, 0, 20, 21, 90)
    command = [*SMALL, "hydra.run.dir=run"]
    for _ in range(4):
        with pytest.raises(Interrupted, match="resume="):
            train(tmp_path, *command)
        command = ["resume=run"]
    train(tmp_path, "resume=run")
    assert_same(tmp_path / "run", reference)
    train(tmp_path, "resume=run")  # finished already: says so, changes nothing
    assert_same(tmp_path / "run", reference)


def test_a_damaged_or_foreign_checkpoint_is_named(tmp_path: Path, interrupting: Any) -> None:
    interrupting(ClassifierTask, 10)
    with pytest.raises(Interrupted):
        train(tmp_path, *SMALL, "hydra.run.dir=run")
    state = tmp_path / "run" / "checkpoint" / "state.pt"
    whole = state.read_bytes()
    state.write_bytes(whole[:1000])
    with pytest.raises(LipsortError, match=r"state\.pt is damaged"):
        train(tmp_path, "resume=run")
    torch.save({"weights": torch.zeros(3)}, state)
    with pytest.raises(LipsortError, match="no checkpoint of this version"):
        train(tmp_path, "resume=run")
    state.write_bytes(pickle.dumps({"format": pytest.approx}))
    with pytest.raises(LipsortError, match=r"state\.pt is damaged"):
        train(tmp_path, "resume=run")
    config = tmp_path / "run" / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("- 32", "- 16"))
    state.write_bytes(whole)
    with pytest.raises(UsageError, match=r"model\.widths: found \[16, 16\], allowed \[32, 32\]"):
        train(tmp_path, "resume=run")


def test_divergence_is_named(tmp_path: Path) -> None:
    with pytest.raises(LipsortError, match=r"lower optimizer\.lr"):
        train(
            tmp_path,
            *SMALL,
            "constraint=none",
            "optimizer=sgd",
            "optimizer.lr=1e30",
            "hydra.run.dir=run",
        )
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def covering() -> list[list[str]]:
    """Few runs that together use every option of every group that `lipsort train` has."""
    groups = ("activation", "constraint", "loss", "optimizer", "schedule")
    names = {group: group_options(group, "train") for group in groups}
    runs = range(max(len(options) for options in names.values()))
    return [[f"{group}={names[group][i % len(names[group])]}" for group in groups] for i in runs]


@pytest.mark.parametrize("overrides", covering(), ids=lambda o: ",".join(o))
def test_every_option_trains_and_is_certified(tmp_path: Path, overrides: list[str]) -> None:
    quick = [text for text in SMALL if "epochs" not in text]
    norm = "linf" if "constraint=linf" in overrides else "l2"
    train(
        tmp_path,
        *quick,
        *overrides,
        "optimizer.lr=1e-3",
        "training.epochs=1",
        f"evaluation.norm={norm}",
        "hydra.run.dir=run",
    )
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    certified, attacked = results["certified_accuracy"], results["attacked_accuracy"]
    assert certified["norm"] == attacked["norm"] == norm
    assert certified["evidence"] == "proven"
    for value in certified["eps"].values():
        assert 0 <= value <= results["clean_accuracy"] + 1e-9


def presets() -> list[str]:
    """The presets of `lipsort train`: those whose file names its command line."""
    files = sorted((config_root() / "experiment").glob("*.yaml"))
    return [path.stem for path in files if "\n# lipsort train " in path.read_text()]


@pytest.mark.parametrize("preset", presets())
def test_presets_run_small(tmp_path: Path, preset: str) -> None:
    quick = [text for text in SMALL if "widths" not in text and "epochs" not in text]
    if "distance" in preset or "order" in preset:
        # These layers have no dropout: what is left out of a maximum or a vote changes it.
        quick = [text for text in quick if "dropout" not in text]
    if "cifar10" in preset:
        quick.append("model.channels=[8,8,16]")
    train(tmp_path, f"experiment={preset}", "data=digits", *quick, "hydra.run.dir=run",
          "model.widths=[16,16]", "training.epochs=1")  # fmt: skip
    assert (tmp_path / "run" / "results.json").exists()


def test_sweep_with_joblib_writes_one_run_a_job(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    train(tmp_path, "-m", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
          *SMALL, "training.epochs=1", "hydra.sweep.dir=sweep")  # fmt: skip
    seeds = [
        json.loads((tmp_path / "sweep" / job / "run.json").read_text())["seed"] for job in "01"
    ]
    assert seeds == [0, 1]


def test_tensorboard_is_written_when_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(tmp_path, *SMALL, "tracker=[tensorboard]", "hydra.run.dir=run")
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_a_tracker_may_be_another_on_resuming(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(tmp_path, *SMALL, "hydra.run.dir=run")
    (tmp_path / "run" / "results.json").unlink()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    write_json(tmp_path / "run" / "run.json", {**record, "status": "interrupted"})
    train(tmp_path, "resume=run", "tracker=[tensorboard]")
    assert (tmp_path / "run" / "results.json").is_file()
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_figures_never_claim_more_than_is_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = [text for text in SMALL if "epochs" not in text]
    train(tmp_path, *quick, "training.epochs=1", "hydra.run.dir=run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    printed = capsys.readouterr().out
    bound = float(printed.split("Lipschitz constant at most ")[1].split()[0])
    assert bound >= results["lipschitz_bound"] > 1
    assert results["evidence"]["lipschitz_bound"] == "proven"
    # Only 20 of 360 points were attacked: the table says so.
    assert "first 20 only" in printed
    # Of an attack on none there is no column, and no word.
    train(tmp_path, *quick, "training.epochs=1", "evaluation.attack.points=0", "hydra.run.dir=none")
    assert "attack" not in capsys.readouterr().out
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert all("certified_accuracy_estimate" in json.loads(line) for line in lines)


def test_centering_takes_off_the_training_mean(tmp_path: Path) -> None:
    quick = [*SMALL, "training.epochs=1", "evaluation.attack.points=0"]
    train(tmp_path, *quick, "training.center=true", "hydra.run.dir=run")
    network = load_network(tmp_path / "run" / "model.safetensors")
    assert network.layers[0].op == "normalize"
    mean = load(DigitsData()).train.inputs.mean()
    assert network.layers[0].numbers[0] == pytest.approx(float(mean), rel=1e-5)


def test_an_attack_inside_a_certified_radius_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_far(*arguments: Any, **options: Any) -> CertifiedPoints:
        points = certify_points(*arguments, **options)
        return points._replace(radii=3 * points.radii)

    monkeypatch.setattr("lipsort_cli.training.evaluation.certify_points", too_far)
    with pytest.raises(LipsortError, match="soundness failure: an attack fooled"):
        train(tmp_path, *SMALL, "evaluation.attack.points=360", "evaluation.attack.steps=20")
