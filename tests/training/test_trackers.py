"""Trackers: told what is logged, gone on with, and never in the way of a result."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lipsort_cli.config.train import Session as Options
from lipsort_cli.errors import UsageError
from lipsort_cli.training import trackers
from lipsort_cli.training.trackers import KINDS, About, Tracker, Trackers


def test_every_choice_is_a_tracker_and_an_extra() -> None:
    import tomllib
    from dataclasses import fields

    allowed = next(f.metadata["choices"] for f in fields(Options) if f.name == "tracker")
    assert set(allowed) == set(KINDS)
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(KINDS) <= set(project["optional-dependencies"])


@pytest.mark.parametrize(
    ("name", "module"),
    [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow"), ("wandb", "wandb")],
)
def test_one_that_is_not_installed_is_one_message(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"tracker: found {name}.*pip install 'lipsort\[{name}\]"):
        Trackers([name], About(tmp_path, "train"))


class Broken(Tracker):
    """Fails at what its class attribute names."""

    at = ""

    def __init__(self, about: About) -> None:
        self._do("open")

    def _do(self, what: str) -> None:
        if what == self.at:
            raise OSError(f"no space left to {what}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._do("log")

    def close(self, finished: bool) -> None:
        self._do("close")


@pytest.mark.parametrize("what", ["open", "log", "close"])
def test_a_trackers_failure_costs_no_result(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from test_engine import Toy, session

    from lipsort_cli.training import engine

    monkeypatch.setitem(trackers.KINDS, "wandb", Broken)
    monkeypatch.setattr(Broken, "at", what)
    assert engine.run(Toy(), session(tmp_path, trackers=["wandb"]))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 9
    said = capsys.readouterr().err
    assert said.count("tracker wandb: OSError: no space left to") == 1


def _two_starts(name: str, folder: Path) -> None:
    """A run that is interrupted after step 4 and gone on with."""
    about = About(folder, "train", {"optimizer.lr": 0.1, "model.widths": [3, 3]})
    first = Trackers([name], about)
    for step in (2, 4):
        first.log("train", step, {"loss": 1 / step, "unknown": None})
    first.close(finished=False)
    second = Trackers([name], About(folder, "train", about.settings, 4))
    second.log("validation", 6, {"accuracy": 1})
    second.close(finished=True)


def test_mlflow_holds_one_run_of_both_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "sweep/0").mkdir(parents=True)
    _two_starts("mlflow", tmp_path / "sweep/0")
    client = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())
    (experiment,) = client.search_experiments(filter_string="name = 'lipsort train'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "sweep/0"
    assert run.data.params == {"optimizer.lr": "0.1", "model.widths": "[3, 3]"}
    points = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(p.step, p.value) for p in points] == [(2, 0.5), (4, 0.25)]
    assert run.data.metrics["validation/accuracy"] == 1
    assert json.loads((tmp_path / "sweep/0/mlflow.json").read_text())["run"] == run.info.run_id


def test_mlflow_waits_seconds_for_a_server_and_as_long_as_its_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, each = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
    monkeypatch.setenv(tries, "0")
    monkeypatch.delenv(tries)
    monkeypatch.setenv(each, "7")

    def unreachable(uri: str) -> None:
        raise OSError(f"{uri} does not answer")

    fake = SimpleNamespace(MlflowClient=unreachable)
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setitem(sys.modules, "mlflow.entities", SimpleNamespace(Metric=None))
    Trackers(["mlflow"], About(tmp_path, "train")).log("train", 1, {"loss": 1.0})
    assert (os.environ[tries], os.environ[each]) == ("3", "7")


def test_wandb_tells_the_jobs_of_sweeps_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Any]] = []
    fake = SimpleNamespace(init=lambda **options: begun.append(options), Settings=dict)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.chdir(tmp_path)
    for folder in ("first/0", "second/0", f"{'long' * 40}/0"):
        trackers.WandB(About(tmp_path / folder, "train"))
    names = [one["name"] for one in begun]
    assert names[:2] == ["first/0", "second/0"] and len(names[2]) == 120


def test_wandb_is_written_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    _two_starts("wandb", tmp_path)
    found = list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(found) == 2 and len({path.name for path in found}) == 1
    # A process of its own writes them, and is waited for at the end of this one.
    deadline = time.monotonic() + 30
    while not all(path.stat().st_size > 100 for path in found):
        assert time.monotonic() < deadline
        time.sleep(0.1)
