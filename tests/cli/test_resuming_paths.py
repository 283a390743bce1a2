"""Relative paths mean what they meant at the start, from wherever a run is gone on with."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import GROUPS, find
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import read_json
from lipsort_cli.identity import PLACES
from lipsort_cli.trained import open_run, own_data
from lipsort_cli.training.classifier import ClassifierTask
from lipsort_cli.wasserstein.training import CriticTask

QUICK = ["threads=1", "device=cpu", "hydra.run.dir=run"]


def run(command: str, folder: Path, *overrides: str) -> None:
    entry = find(command)
    assert entry is not None
    before = Path.cwd()
    os.chdir(folder)
    try:
        launch(entry, list(overrides))
    finally:
        os.chdir(before)


def points(folder: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {f"x_{part}": rng.normal(size=(40, 3)).astype("f4") for part in ("train", "test")}
    labels = {f"y_{part}": np.arange(40) % 2 for part in ("train", "test")}
    np.savez(folder / "data.npz", **arrays, **labels)
    for name in "pq":
        np.save(folder / f"{name}.npy", rng.normal(size=(40, 2)).astype("f4"))


@pytest.mark.parametrize("chdir", ["false", "true"])
@pytest.mark.parametrize(
    ("command", "kind", "given", "kept"),
    [
        (
            "train",
            ClassifierTask,
            ["data=npz", "data.path=data.npz", "model.widths=[8]", "training.epochs=9"],
            {"data.path": "data.npz"},
        ),
        (
            "estimate-wasserstein",
            CriticTask,
            ["distribution=files", "distribution.p=p.npy", "distribution.q=q.npy",
             "model.widths=[8]", "training.steps=9"],
            {"distribution.p": "p.npy", "distribution.q": "q.npy"},
        ),
    ],
)  # fmt: skip
def test_a_run_goes_on_from_another_folder(
    chdir: str, command: str, kind: Any, given: list[str], kept: dict[str, str],
    tmp_path: Path, interrupting: Any,
) -> None:  # fmt: skip
    start, elsewhere = tmp_path / "start", tmp_path / "elsewhere"
    start.mkdir()
    elsewhere.mkdir()
    points(start)
    interrupting(kind, 2)
    with pytest.raises(Interrupted):
        run(command, start, *given, *QUICK, f"hydra.job.chdir={chdir}")
    saved = yaml.safe_load((start / "run" / ".hydra" / "config.yaml").read_text())
    for key, name in kept.items():
        group, _, leaf = key.partition(".")
        assert saved[group][leaf] == str(start / name)
    run(command, elsewhere, f"resume={start / 'run'}")
    record = read_json(start / "run" / "run.json")
    assert record["status"] == "finished" and record["resumed"] == 1
    assert list(elsewhere.iterdir()) == []


def test_data_that_moved_are_named_anew(tmp_path: Path, interrupting: Any) -> None:
    """The same content from another place is the same data; a relative path is the user's."""
    start, elsewhere = tmp_path / "start", tmp_path / "elsewhere"
    start.mkdir()
    elsewhere.mkdir()
    points(start)
    interrupting(ClassifierTask, 2)
    given = ["data=npz", "data.path=data.npz", "model.widths=[8]", "training.epochs=9"]
    with pytest.raises(Interrupted):
        run("train", start, *given, *QUICK)
    (start / "data.npz").rename(elsewhere / "moved.npz")
    with pytest.raises(LipsortError, match=r"data\.npz"):
        run("train", elsewhere, f"resume={start / 'run'}")
    run("train", elsewhere, f"resume={start / 'run'}", "data.path=moved.npz")
    assert read_json(start / "run" / "run.json")["status"] == "finished"
    assert open_run(start / "run").inputs.size  # by the commands that follow, too
    (elsewhere / "moved.npz").rename(start / "again.npz")
    with pytest.raises(LipsortError, match=r"`lipsort train resume=\S+ data\.path=PLACE` says"):
        open_run(start / "run")
    run("train", start, "resume=run", "data.path=nowhere.npz")
    run("train", start, "resume=run", "data.path=again.npz")
    assert open_run(start / "run").inputs.size


def test_data_of_a_sweep_that_moved_are_named_anew(
    tmp_path: Path, interrupting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jobs that are finished are kept, as ever; and again when the data move once more."""
    points(tmp_path)
    sweep = ["data=npz", "data.path=data.npz", "model.widths=[8]", "threads=1", "seed=0,1,2",
             "device=cpu", "hydra.sweep.dir=sweep", "training.epochs=2"]  # fmt: skip
    run("train", tmp_path, "-m", *sweep)
    jobs = [tmp_path / "sweep" / job for job in "012"]
    weights = [(job / "model.safetensors").read_bytes() for job in jobs]
    source = "data.npz"
    for target, lost in (("b.npz", 1), ("c.npz", 2)):
        shutil.rmtree(jobs[lost])
        (tmp_path / source).rename(tmp_path / target)
        source = target
        with pytest.raises(UsageError, match=r"data\.npz|b\.npz"):
            run("train", tmp_path, "-m", "resume=sweep")
        said = capsys.readouterr().out
        run("train", tmp_path, "-m", "resume=sweep", f"data.path={target}")
        said = capsys.readouterr().out
        assert said.count("is finished already") == 2 and "3 finished" in said
        assert [(job / "model.safetensors").read_bytes() for job in jobs] == weights
        saved = yaml.safe_load((jobs[lost] / ".hydra" / "config.yaml").read_text())
        assert saved["data"]["path"] == str(tmp_path / target) and saved["resume"] is None
    with pytest.raises(UsageError, match="finished run on data from elsewhere"):
        run("train", tmp_path, "-m", *sweep, "data.path=elsewhere.npz")


def test_every_file_and_folder_of_the_user_is_known_as_a_path() -> None:
    """A new option that names a file must say so, or runs could not be gone on with elsewhere."""
    known = set()
    for group in ("data", "distribution"):
        for name, kind in GROUPS[group].items():
            for field in kind.__dataclass_fields__.values():  # type: ignore[attr-defined]
                words = str(field.metadata.get("help", "")).split()
                about_files = {"file", "file:", "folder", "directory", "files"} & set(words)
                if about_files and "download" not in field.name:
                    known.add((group, name, field.name))
                    assert field.metadata["path"], (group, name, field.name)
    assert {("data", "npz", "path"), ("distribution", "files", "q_weights")} <= known


@pytest.mark.parametrize("key", [*PLACES, None])
def test_data_that_are_gone_are_asked_for_by_the_key_that_says_where(
    key: str | None, tmp_path: Path
) -> None:
    record = {"command": "train", "status": "finished"}
    given = {"configuration": {"places": {key: "there"}}} if key else {}
    (tmp_path / "run.json").write_text(json.dumps(record | given))
    with pytest.raises(LipsortError, match="put them back") as caught, own_data(tmp_path):
        raise UsageError("gone")
    hint = f"resume={tmp_path} {key}=PLACE`"
    assert hint in str(caught.value) if key else "PLACE" not in str(caught.value)
