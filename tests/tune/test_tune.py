"""`lipsort tune`: trials never see a test set, and a study survives whatever stops it."""

from __future__ import annotations

import contextlib
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
from command_line import lipsort

from lipsort_cli import app
from lipsort_cli.cli.tuning import OWN, with_command
from lipsort_cli.config import catalog
from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.config.tune import TUNED
from lipsort_cli.data.dataset import Dataset
from lipsort_cli.errors import LipsortError, UsageError
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
        "failed", "labels of the test set was looked at"
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
    for wrong in (
        [],
        ["seed=1,2"],
        ["train", "wgan"],
        ["train", "a=1,2", "objective=clean"],
        ["sofa"],
        ["resume=x", "seed=1"],
    ):
        with pytest.raises(UsageError, match="found"):
            with_command(wrong)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"], "nothing to search(?s:.*)try: lipsort tune train 'optimizer.lr=log"),
        (["train", "optimizer.lr=1"], "(?s)nothing.*try: lipsort tune train 'optimizer[^ ]*$"),
        (["train", "optimizer.rate=1,2"], "optimizer.rate: no such key"),
        (["trian", "seed=1,2"], "(?s)did you mean train.*try: lipsort tune train seed=1,2"),
        (["train", "seed=1,2", "trials=2,3"], "trials: found 2,3.*allowed: one value"),
        (["train", "seed=1,2", "data.validation=0"], "data.validation: found 0, while the goal"),
        (["train", "data.validation=0.1,0", "objectives=[clean]"], "found 0.*validation.accuracy"),
        (["train", "seed=1,2", "objectives=[diagnostics.gradient_kept]"], "s_every: found 0"),
        (["train", "seed=1,2", "objectives=[check.lower]"], "allowed: certified, clean, or what t"),
        (["train", "seed=1,2", "objectives=[clean,-validation.accuracy]"], "one figure; allowed"),
        (["train", "seed=1,2", "objectives=[-validation.acuracy]"], "found -validation.acuracy"),
        (["train", "resume=x"], "(?s)found train; allowed beside resume=.*tune resume=x$"),
        (["wgan", "seed=1,2"], "command: found 'wgan'"),
        (["certify", "points=1,2"], "command: found 'certify'"),
        (["train", "seed=1,2", "objectives=[clean_accuracy]"], "nothing may be chosen by"),
        (["train", "seed=1,2", "objectives=[clean,certified,train.loss]"], "found 3"),
        (["train", "seed=1,2", "trials=0"], "trials: found 0"),
        (["train", "-m", "seed=1,2"], "-m: found with tune"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made_or_named(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        app.run(["tune", *words])
    assert not list(tmp_path.iterdir()) and "Run directory" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "data=table", "data.path=gone.csv", "data.label=x"], "found gone.csv"),
        (["train", "data=npz", "data.path=none.npz,gone.npz"], "none.npz"),
        (
            ["estimate-wasserstein", "distribution=files", "distribution.p=gone.csv",
             "distribution.q=gone.csv"],
            "gone.csv",
        ),
    ],
)  # fmt: skip
def test_data_that_are_missing_are_found_before_anything_is_made(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LipsortError, match=said) as refused:
        app.run(["tune", *words, "optimizer.lr=0.1,0.2"])
    assert "trial" not in str(refused.value) and not list(tmp_path.iterdir())


def test_trials_of_other_data_are_not_set_beside_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table = Path("t.csv")
    text = "x,y\n" + "".join(f"{i * i}.5,{i % 2}\n" for i in range(40))
    table.write_text(text)
    given = ["data=table", "data.path=t.csv", "data.label=y", *QUICK, "optimizer.lr=0.1,0.2,0.3"]
    assert lipsort(monkeypatch, "tune", "train", *given, "trials=1", "hydra.run.dir=study") == 0
    for content, code, said in (
        (None, 2, "found t.csv; no such file"),
        (text.replace("4.5", "4.25"), 1, "trials/000 was trained on other data"),
        (text, 0, ""),
    ):
        table.unlink(missing_ok=True)
        if content is not None:
            table.write_text(content)
        assert lipsort(monkeypatch, "tune", "resume=study", "trials=2") == code
        assert said in capfd.readouterr().err
        assert len(list(Path("study/trials").iterdir())) == 1 + (code == 0)
    Path("else").mkdir()
    monkeypatch.chdir("else")
    assert lipsort(monkeypatch, "tune", "resume=../study") == 0
    assert f"data.path={tmp_path / 't.csv'}" in _line_to_paste(capfd.readouterr().out)


def test_data_of_a_study_that_moved_are_named_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("x,y\n" + "".join(f"{i * i}.5,{i % 2}\n" for i in range(40)))
    given = ["data=table", "data.path=t.csv", "data.label=y", *QUICK, "optimizer.lr=0.1,0.2,0.3"]
    assert lipsort(monkeypatch, "tune", "train", *given, "trials=1", "hydra.run.dir=study") == 0
    Path("a b").mkdir()
    Path("t.csv").rename("a b/u.csv")
    monkeypatch.chdir("a b")
    study = "resume=../study"
    assert lipsort(monkeypatch, "tune", study, "trials=2", "data.path=nowhere.csv") == 2
    capfd.readouterr()
    assert lipsort(monkeypatch, "tune", study, "trials=2", "data.path=u.csv") == 0
    line = " ".join(_line_to_paste(capfd.readouterr().out))
    assert "data.path=u.csv" in line and "t.csv" not in line
    assert lipsort(monkeypatch, "tune", study, "trials=3") == 0  # it is known from now on
    assert len(list((tmp_path / "study/trials").iterdir())) == 3
    Path("u.csv").write_text("x,y\n" + "".join(f"{i * i}.25,{i % 2}\n" for i in range(40)))
    assert lipsort(monkeypatch, "tune", study, "trials=3") == 0  # nothing is trained
    assert lipsort(monkeypatch, "tune", study, "data.label=y") == 2
    assert "data.path=PLACE" in capfd.readouterr().err


def test_trials_that_failed_are_said_to_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["data=digits", *QUICK, "optimizer.lr=0.1,0.2,0.3,0.4", "hydra.run.dir=study"]
    assert lipsort(monkeypatch, "tune", "train", *given, "trials=1") == 0
    assert "failed earlier" not in capfd.readouterr().err
    path = Path("study/trials/000/trial.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state": "failed", "values": []}))
    assert lipsort(monkeypatch, "tune", "resume=study", "trials=2") == 0
    said = " ".join("".join(capfd.readouterr()).split())
    assert "1 trial failed earlier" in said and "resume=study trials=3" in said


def test_nothing_is_made_where_optuna_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match="Optuna is not installed"):
        app.run(["tune", "train", "seed=1,2"])
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().out


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


def _finished(folder: Path) -> int:
    """Trials of a study that came to their end."""
    files = folder.rglob("trials/*/trial.json")
    return sum(json.loads(file.read_text())["state"] == "complete" for file in files)


def _killed(folder: Path, finished: int, *words: str) -> float:
    """Kill a search once so many trials are finished, and its workers with it; the processor
    seconds that all of them took."""
    first = subprocess.Popen(
        [sys.executable, "-m", "lipsort_cli", *words], cwd=folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _until(lambda: _finished(folder) >= finished, 600.0)
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15])) if int(fields[2]) == first.pid else 0
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    return ticks / os.sysconf("SC_CLK_TCK")


def _line_to_paste(text: str) -> list[str]:
    (line,) = [one for one in text.splitlines() if one.startswith("next: ")]
    return shlex.split(line.removeprefix("next: "))


def test_a_killed_study_is_gone_on_with_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _killed(tmp_path, 1, *SEARCH)
    before = {file: file.read_text() for file in tmp_path.rglob("trials/000/*.json*")}
    monkeypatch.chdir(tmp_path)
    # More trials are more of the same study, by other workers.
    assert lipsort(monkeypatch, *SEARCH[:-1], "trials=4", "workers=2") == 0
    text = capfd.readouterr().out
    (folder,) = tmp_path.glob("outputs/tune/*/*/")
    assert {file: file.read_text() for file in before} == before, "a finished trial is kept"
    results = json.loads((folder / "results.json").read_text())
    assert results["trials"] == {"complete": 4, "pruned": 0, "failed": 0}
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert (folder / "figures" / "front.png").is_file()
    rows = list(csv.DictReader((folder / "trials.csv").open()))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3"]
    # The line to paste means what the best trial was.
    line = _line_to_paste(text)
    assert line == shlex.split(results["best"]["command"])
    assert line[:3] == ["lipsort", "train", "training.epochs=2"]
    assert line[3:] == results["best"]["words"]
    assert "test" not in json.dumps(results)
    # Checkpoints are kept of the front alone.
    kept = {int(path.parent.name) for path in folder.glob("trials/*/checkpoint")}
    assert kept == {one["trial"] for one in results["front"]}
    # A study that is finished has nothing to do, and says the same again.
    assert lipsort(monkeypatch, "tune", f"resume={folder}") == 0
    text = capfd.readouterr().out
    assert "4 of them done earlier" in text and _line_to_paste(text) == line
    assert lipsort(monkeypatch, "tune", f"resume={folder}", "trials=2") == 2
    assert "trials: found 2" in (said := capfd.readouterr().err) and "allowed: 4 or more" in said
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"


@pytest.mark.slow
@pytest.mark.pictures
def test_twenty_trials_of_digits_killed_and_resumed_within_ten_processor_minutes(
    tmp_path: Path,
) -> None:
    """Five minutes of two cores, the killed part and the line to paste included."""
    search = ("tune", "train", "optimizer.lr=log(1e-2,0.3)", "loss.margin=log(0.2,5)",
              "objectives=[clean,certified]", "trials=20", "workers=2")  # fmt: skip
    began = os.times()
    seconds = _killed(tmp_path, 6, *search)
    (folder,) = tmp_path.glob("outputs/tune/*/*/")
    trials = {file: file.read_text() for file in folder.rglob("trial.json")}
    earlier = {file: text for file, text in trials.items() if '"complete"' in text}
    second = _lipsort(tmp_path, *search)
    text, _ = second.communicate(timeout=1200)
    assert second.returncode == 0, text
    assert len(earlier) >= 5 and f"{len(earlier)} of them done earlier" in text
    assert {file: file.read_text() for file in earlier} == earlier
    results = json.loads((folder / "results.json").read_text())
    assert results["trials"] == {"complete": 20, "pruned": 0, "failed": 0}
    # No trial was judged, and none logged a figure of the test set.
    assert not list(folder.rglob("trials/*/results.json"))
    logs = [file.read_text() for file in folder.rglob("metrics.jsonl")]
    assert len(logs) == 20 and not any('"split": "test"' in log for log in logs)
    front = {tuple(one["values"].values()) for one in results["front"]}
    assert not any(a != b and a[0] <= b[0] and a[1] <= b[1] for a in front for b in front)
    assert (folder / "figures" / "front.png").stat().st_size > 10_000
    # The line to paste trains and judges the best; only now is there a figure of the test set.
    pasted = _lipsort(tmp_path, *_line_to_paste(text)[1:], "hydra.run.dir=best")
    said, _ = pasted.communicate(timeout=600)
    assert pasted.returncode == 0, said
    assert json.loads((tmp_path / "best" / "results.json").read_text())["clean_accuracy"] > 0.9
    ended = os.times()
    seconds += ended.children_user + ended.children_system
    seconds -= began.children_user + began.children_system
    print(f"{text}\n{said}\n{seconds:.0f} processor seconds in all; {folder}")
    assert seconds < 600


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
