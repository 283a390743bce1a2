"""`lipsort tune`: trials never see a test set, and a study survives whatever stops it."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lipsort_cli import app
from lipsort_cli.cli.tuning import OWN, with_command
from lipsort_cli.config import catalog
from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.config.tune import TUNED
from lipsort_cli.data.dataset import Dataset
from lipsort_cli.errors import UsageError
from lipsort_cli.tune import worker

pytest.importorskip("optuna")
QUICK = ("training.epochs=2", "model.widths=[16,16]")


class Sealed:
    """A test split that nobody looks at: all that it tells is how long it is."""

    def __len__(self) -> int:
        return 360

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the test set was looked at")


def _trial(directory: Path, *words: str, **watched: str) -> dict[str, Any]:
    job = {"command": "train", "overrides": [*QUICK, *words], "directory": str(directory)}
    return worker.train({**job, **watched}, lambda report: report["done"] >= 0.5)


def test_no_trial_looks_at_the_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lipsort_cli.commands import train

    load = train.load
    monkeypatch.setattr(train, "load", lambda data: _sealed(load(data)))
    monkeypatch.setattr(train, "save_network", None)
    answer = _trial(tmp_path)
    assert answer["status"] == "complete", (tmp_path / "log.txt").read_text()
    assert set(answer["figures"]) >= {
        "validation.accuracy", "validation.certified_accuracy_estimate", "train.loss",
    }  # fmt: skip
    assert not any(name.startswith("test") for name in answer["figures"])
    assert not (tmp_path / "results.json").exists()
    # What is sealed would be noticed: without a search, training ends in the test set.
    from lipsort_cli.reproduction.worker import serve

    monkeypatch.undo()
    monkeypatch.setattr(train, "load", lambda data: _sealed(load(data)))
    found = serve({"command": "train", "overrides": [*QUICK], "directory": str(tmp_path / "b")})
    assert (found["status"], found["error"]) == (
        "failed", "inputs of the test set was looked at"
    )  # fmt: skip


def _sealed(dataset: Dataset) -> Dataset:
    sealed = replace(dataset, test=Sealed())  # type: ignore[arg-type]
    # A run says which data it is of: bytes are hashed, and nothing is chosen by that.
    sealed.__dict__["fingerprint"] = dataset.fingerprint
    return sealed


def test_a_trial_is_judged_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _trial(tmp_path / "trial")["status"] == "complete"
    assert _trial(tmp_path / "pruned", watched="validation.accuracy")["status"] == "pruned"
    from lipsort_cli.training.classifier import ClassifierTask

    steps: list[int] = []
    step = ClassifierTask.step
    monkeypatch.setattr(ClassifierTask, "step", lambda self: (steps.append(1), step(self))[1])
    assert app.run(["train", f"resume={tmp_path / 'trial'}"]) == 0
    assert steps == []
    app.run(["train", f"hydra.run.dir={tmp_path / 'whole'}", *QUICK])
    pair = [json.loads((tmp_path / d / "results.json").read_text()) for d in ("trial", "whole")]
    for found in pair:
        del found["train_seconds"]
    assert pair[0] == pair[1]


def test_figures_are_those_of_the_weights_that_are_kept(tmp_path: Path) -> None:
    log = [("validation", 0.5, 0.1), ("validation", 0.9, 0.2), ("train", 1.0, 0.0),
           ("validation", 0.9, 0.3), ("validation", 0.7, 0.4)]  # fmt: skip
    lines = [
        json.dumps({"step": step, "split": split, "accuracy": accuracy, "other": other})
        for step, (split, accuracy, other) in enumerate(log)
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    (tmp_path / ".hydra").mkdir()
    for keep, expected in (("best", [0.9, 0.2]), ("last", [0.7, 0.4])):
        (tmp_path / ".hydra" / "config.yaml").write_text(f"training: {{keep: {keep}}}")
        found = worker._figures(tmp_path)
        assert [found["validation.accuracy"], found["validation.other"]] == expected
        assert found["train.accuracy"] == 1.0 and "validation.step" not in found
    assert worker._figures(tmp_path / "nowhere") == {}


def test_keys_of_a_search_are_no_keys_of_what_is_searched() -> None:
    assert {name for name, one in COMMANDS.items() if one.measures} == set(TUNED)
    for command in TUNED:
        names = {key.name for key in catalog.all_keys(command)} | set(
            catalog.default_options(command)
        )
        assert names & OWN == {"resume"}


def test_words_are_the_searchs_own_or_handed_on() -> None:
    assert with_command(["train-classifier", "seed=1,2", "trials=3", "objectives=clean", "~a"]) == [
        "command=train", "overrides=['seed=1,2','~a']", "trials=3", "objectives=[clean]",
    ]  # fmt: skip
    assert with_command(["resume=x", "trials=9"]) == ["resume=x", "trials=9"]
    for wrong in ([], ["seed=1,2"], ["train", "wgan"], ["sofa"], ["resume=x", "seed=1"]):
        with pytest.raises(UsageError, match="found"):
            with_command(wrong)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"], "nothing to search"),
        (["wgan", "seed=1,2"], "command: found 'wgan'"),
        (["certify", "points=1,2"], "command: found 'certify'"),
        (["train", "seed=1,2", "objectives=[clean_accuracy]"], "nothing may be chosen by"),
        (["train", "seed=1,2", "objectives=[clean,certified,train.loss]"], "found 3"),
        (["train", "seed=1,2", "trials=0"], "trials: found 0"),
        (["train", "-m", "seed=1,2"], "-m: found with tune"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        app.run(["tune", *words])
    assert not list(tmp_path.rglob("*.json"))


def _lipsort(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lipsort_cli", *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


SEARCH = (
    "tune", "train", "training.epochs=2", "model.widths=choice([16,16],[32,32])",
    "optimizer.lr=log(1e-2,0.2)", "objectives=[clean,certified]", "trials=3",
)  # fmt: skip


def _until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_study_is_gone_on_with_by_the_same_command(tmp_path: Path) -> None:
    first = _lipsort(tmp_path, *SEARCH)
    _until(lambda: bool(list(tmp_path.rglob("trials/001/run.json"))))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    second = _lipsort(tmp_path, *SEARCH)
    text, _ = second.communicate(timeout=120)
    assert second.returncode == 0, text
    (folder,) = tmp_path.glob("outputs/tune/*/*/")
    results = json.loads((folder / "results.json").read_text())
    assert results["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert (folder / "figures" / "front.png").is_file()
    rows = list(csv.DictReader((folder / "trials.csv").open()))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    # The line to paste means what the best trial was.
    line = text.strip().splitlines()[-1].removeprefix("next: ")
    assert line == results["best"]["command"]
    assert shlex.split(line)[:3] == ["lipsort", "train", "training.epochs=2"]
    assert shlex.split(line)[3:] == results["best"]["words"]
    assert "test" not in json.dumps(results)
    # Checkpoints are kept of the front alone.
    kept = {int(path.parent.name) for path in folder.glob("trials/*/checkpoint")}
    assert kept == {one["trial"] for one in results["front"]}
    # More trials are more of the same study; `lipsort report` has no use for what nobody judged.
    third = _lipsort(tmp_path, "tune", f"resume={folder}", "trials=4", "workers=2")
    text, _ = third.communicate(timeout=120)
    assert third.returncode == 0 and "3 of them done earlier" in text, text


@pytest.mark.slow
def test_ctrl_c_leaves_a_study_that_can_be_gone_on_with(tmp_path: Path) -> None:
    first = _lipsort(tmp_path, *SEARCH, "workers=2")
    _until(lambda: len(list(tmp_path.rglob("trials/*/run.json"))) == 2)
    os.kill(first.pid, signal.SIGINT)
    text, _ = first.communicate(timeout=90)
    assert first.returncode == 130 and "go on with `lipsort tune resume=outputs" in text, text
    word = text.split("lipsort tune resume=")[1].split("`")[0]
    second = _lipsort(tmp_path, "tune", f"resume={word}")
    text, _ = second.communicate(timeout=120)
    assert second.returncode == 0, text
