"""A run is what it is, wherever it lies: what is equal is gone on with, all else is refused."""

from __future__ import annotations

import copy
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import find
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import read_json, write_json
from lipsort_cli.gan.training import GanTask
from lipsort_cli.identity import file_digest
from lipsort_cli.training import engine
from lipsort_cli.training.checkpoint import (
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from lipsort_cli.training.classifier import ClassifierTask
from lipsort_cli.wasserstein.training import CriticTask

TASKS: dict[str, tuple[Any, list[str]]] = {
    "train": (
        ClassifierTask,
        ["model.widths=[8]", "training.epochs=1", "evaluation.attack.points=0"],
    ),
    "estimate-wasserstein": (
        CriticTask,
        ["model.widths=[8]", "training.steps=9", "training.check_points=20",
         "evaluation.points=20", "evaluation.confidence_points=20"],
    ),
    "wgan": (
        GanTask,
        ["data=toy", "data.points=100", "evaluation.samples=20", "generator=mlp",
         "generator.widths=[8]", "critic.widths=[8]", "training.steps=4", "training.frames=1",
         "evaluation.critic_steps=0", "evaluation.transport_points=0"],
    ),
}  # fmt: skip
TRAIN = [*TASKS["train"][1], "threads=1", "device=cpu"]


def run(command: str, *overrides: str) -> None:
    entry = find(command)
    assert entry is not None
    launch(entry, list(overrides))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=TASKS)
def interrupted(request: pytest.FixtureRequest, interrupting: Any) -> str:
    """A command whose run in ``run`` was interrupted after its third step."""
    command = str(request.param)
    kind, small = TASKS[command]
    interrupting(kind, 2)
    with pytest.raises(Interrupted, match=f"continue with `lipsort {command} resume=run`"):
        run(command, *small, "threads=1", "device=cpu", "hydra.run.dir=run")
    return command


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- sweeps -----------------------------------------------------------------------------------


def test_a_second_sweep_is_no_continuation_of_the_first(capsys: Any) -> None:
    run("train", "-m", *TRAIN, "seed=0,1", "hydra.sweep.dir=o")
    first = contents(Path("o/0"))
    with pytest.raises(UsageError) as caught:
        run("train", "-m", *TRAIN, "seed=5", "optimizer.lr=0.03", "hydra.sweep.dir=o")
    assert "seed: found 5, allowed 0" in str(caught.value)
    assert "optimizer.lr: found 0.03, allowed 0.1" in str(caught.value)
    assert contents(Path("o/0")) == first
    # The same one finds its jobs finished, and trains those that are new.
    capsys.readouterr()
    run("train", "-m", *TRAIN, "seed=0,1,2", "hydra.sweep.dir=o")
    shown = capsys.readouterr().out
    assert shown.count("finished already; nothing to do") == 2
    assert contents(Path("o/0")) == first
    assert "3 jobs: 3 finished" in shown
    assert len({(Path("o") / job / "model.safetensors").read_bytes() for job in "012"}) == 3


def test_two_jobs_of_one_sweep_do_not_share_a_folder() -> None:
    with pytest.raises(UsageError, match="seed: found 1, allowed 0"):
        run("train", "-m", *TRAIN, "seed=0,1", "hydra.sweep.dir=o", "hydra.sweep.subdir=x")
    record = read_json(Path("o/x/run.json"))
    assert (record["seed"], record["status"]) == (0, "finished")


def test_an_interrupted_sweep_is_gone_on_with_as_a_sweep(interrupting: Any) -> None:
    run("train", "-m", *TRAIN, "seed=0,1,2", "hydra.sweep.dir=whole")
    interrupting(ClassifierTask, 3, 0)  # in the first job, and at the start of the second
    words = "the whole sweep: `lipsort train -m resume=part`"
    with pytest.raises(Interrupted, match=words):
        run("train", "-m", *TRAIN, "seed=0,1,2", "hydra.sweep.dir=part")
    with pytest.raises(Interrupted, match=words):
        run("train", "-m", "resume=part")
    run("train", "-m", "resume=part", "training.checkpoint_seconds=5")
    for job in "012":
        one, other = (Path(sweep) / job / "model.safetensors" for sweep in ("whole", "part"))
        assert one.read_bytes() == other.read_bytes()
    resumed = [read_json(Path("part") / job / "run.json").get("resumed", 0) for job in "012"]
    assert resumed == [1, 1, 0]
    for given, fault in (
        (["resume=part", "seed=3"], "seed: found together with resume=.*objective, resume; a run"),
        (["resume=part", "trials=3"], "trials: found together with resume="),
        (["resume=nowhere"], "no folder of a sweep"),
    ):
        with pytest.raises(UsageError, match=fault):
            run("train", "-m", *given)
    with pytest.raises(UsageError, match="a sweep of `lipsort train`"):
        run("wgan", "-m", "resume=part")
    Path("part/multirun.yaml").write_text("hydra: [")
    with pytest.raises(UsageError, match="is damaged"):
        run("train", "-m", "resume=part")


# --- races ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", TASKS)
def test_a_second_process_in_a_directory_is_refused_at_once(command: str, held: Any) -> None:
    with held(Path("run")) as process:
        words = [sys.executable, "-m", "lipsort_cli", command, "hydra.run.dir=run"]
        ended = subprocess.run(
            words, capture_output=True, text=True, timeout=120, env={**os.environ}
        )
    assert ended.returncode == 1
    assert f"process {process.pid} works in this run directory" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(contents(Path("run"))) == ["run/.lock"]


# --- edited configurations, flipped bits, other data --------------------------------------------


def test_an_edited_configuration_is_noticed(interrupted: str) -> None:
    path = Path("run/.hydra/config.yaml")
    before = path.read_text()
    path.write_text(before.replace("seed: 0", "seed: 1"))
    kept = contents(Path("run"))
    with pytest.raises(UsageError, match="seed: found 1, allowed 0"):
        run(interrupted, "resume=run")
    assert contents(Path("run")) == kept
    path.write_text(before)
    run(interrupted, "resume=run", "threads=1")
    assert read_json(Path("run/run.json"))["status"] == "finished"


def test_flipped_bits_and_other_data_are_refused(interrupted: str) -> None:
    path = checkpoint_path(Path("run"))
    whole = path.read_bytes()
    for place in (len(whole) // 3, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        path.write_bytes(bytes(damaged))
        with pytest.raises(LipsortError, match=r"state\.pt is damaged"):
            run(interrupted, "resume=run")
    path.write_bytes(whole)
    record = read_json(Path("run/run.json"))
    other = json.loads(json.dumps(record["data"]).replace('"name": "', '"name": "un'))
    if "sha256" in other:
        other["sha256"] = "0" * 64
    write_json(Path("run/run.json"), record | {"data": other})
    with pytest.raises(LipsortError, match="trained on other data"):
        run(interrupted, "resume=run")
    write_json(Path("run/run.json"), record)
    # A whole checkpoint, but of another run.
    state = load_checkpoint(Path("run"))
    assert state is not None
    for key in ("configuration", "data"):
        save_checkpoint(Path("run"), state | {key: "0" * 64})
        with pytest.raises(LipsortError, match=f"belongs to another run: its {key} has SHA-256 0"):
            run(interrupted, "resume=run")


STRANGE: list[Any] = [None, torch.zeros(0), "x", -1, [], {}, torch.tensor([False]), 2**70, 1e308]


def with_one_strange(node: Any, turn: Iterator[int]) -> Iterator[Any]:
    """Copies of a state with one node, at any depth, replaced by two of the strange values."""
    items = list(node.items() if isinstance(node, dict) else enumerate(node))
    for key, value in items:
        others = [STRANGE[next(turn) % len(STRANGE)] for _ in range(2)]
        if isinstance(value, dict | list):
            others += with_one_strange(value, turn)
        for other in others:
            changed = copy.copy(node)
            changed[key] = other
            yield changed


def test_whatever_is_in_a_checkpoint_is_restored_or_refused(
    interrupted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checksum keeps damage out, but not what another program wrote."""
    restore, tried = engine._restore, [0, 0]

    def every_one(task: Any, session: Any) -> bool:
        whole = load_checkpoint(session.directory) or {}
        for state in with_one_strange(whole, itertools.count()):
            monkeypatch.setattr(engine, "load_checkpoint", lambda _, state=state: state)
            try:
                restore(task, session)
                assert isinstance(task.finished, bool) and isinstance(task.words(), str)
            except LipsortError:
                tried[0] += 1
            tried[1] += 1
        monkeypatch.setattr(engine, "load_checkpoint", load_checkpoint)
        return restore(task, session)

    monkeypatch.setattr(engine, "_restore", every_one)
    # In the end with the true one: foreign numbers of the right shapes would train on.
    run(interrupted, "resume=run")
    assert tried[1] > 100 and tried[0] > tried[1] / 3


def test_weights_that_changed_after_the_run_are_refused() -> None:
    run("train", *TRAIN, "hydra.run.dir=run")
    record = read_json(Path("run/run.json"))
    assert set(record["weights"]) == {"model.safetensors"}
    assert record["results"] == file_digest(Path("run/results.json"))
    path = Path("run/model.safetensors")
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 1
    path.write_bytes(bytes(whole))
    for command in ("certify", "attack", "export", "inspect"):
        with pytest.raises(LipsortError, match=r"model\.safetensors: found SHA-256 .*, allowed"):
            run(command, "run")
    for nothing in ({}, {"weights": {}}, {"weights": None}):
        bare = {key: value for key, value in record.items() if key != "weights"} | nothing
        write_json(Path("run/run.json"), bare)
        with pytest.raises(LipsortError, match=r"run\.json holds no SHA-256 of the run's weights"):
            run("certify", "run")
