"""What a job returns: the figure that an optimizing sweeper works on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from command_line import lipsort, train

from lipsort_cli.cli import job, objective
from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import write_json

RESULTS = {
    "clean_accuracy": 0.5,
    "certified_accuracy": {"norm": "l2", "eps": {"0.1": 0.25}, "evidence": "proven"},
}


def _results(config: Any, directory: Path) -> None:
    """A run whose validation accuracy is best at lr = 0.3."""
    shown = 1 - abs(config.optimizer.lr - 0.3)
    line = {"epoch": 1, "step": 3, "split": "validation", "accuracy": shown}
    first = {"epoch": 0, "step": 1, "split": "validation", "accuracy": 0.0}
    text = "\n".join(json.dumps(entry) for entry in (first, line))
    (directory / "metrics.jsonl").write_text(text + "\n")
    write_json(directory / "results.json", RESULTS)


def test_figures_are_those_of_the_results_and_the_last_of_each_split(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", RESULTS)
    (tmp_path / "metrics.jsonl").write_text('{"split": "train", "step": 1, "loss": 2.0}\n{"split')
    assert objective.figures(COMMANDS["train"], tmp_path) == {
        "clean_accuracy": 0.5,
        "certified_accuracy.l2.0.1": 0.25,
        "train.loss": 2.0,
    }


def test_the_default_is_what_a_user_would_tune(train_calls: Any, monkeypatch: Any) -> None:
    train_calls.action = _results
    returned: list[Any] = []
    monkeypatch.setattr(job, "single", _kept(job.single, returned))
    train("optimizer.lr=0.2")
    train("optimizer.lr=0.2", "objective=certified_accuracy.l2.0.1")
    train("optimizer.lr=0.2", "objective=[validation.accuracy,clean_accuracy]")
    assert returned == [pytest.approx(0.9), 0.25, (pytest.approx(0.9), 0.5)]
    train_calls.action = None
    train("optimizer.lr=0.2")
    assert returned[-1] is None


def _kept(function: Any, into: list[Any]) -> Any:
    def wrapped(*arguments: Any) -> Any:
        into.append(function(*arguments))
        return into[-1]

    return wrapped


def test_what_is_no_figure_is_refused_with_those_that_are(train_calls: Any) -> None:
    train_calls.action = _results
    with pytest.raises(LipsortError, match="objective: found x.*allowed: clean_accuracy"):
        train("objective=x")
    train_calls.configs.clear()
    for wrong in ("objective=[]", "objective=3", "objective=[1]", "objective={a: 1}"):
        with pytest.raises(UsageError, match="objective: found"):
            train(wrong)
    assert train_calls.configs == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        *((key, True) for key in ("clean_accuracy", "certified_accuracy.l2.0.1")),
        *(
            (key, False)
            for key in ("validation.accuracy", "train.lr", "diagnostics.active_units.2")
        ),
    ],
)
def test_what_chooses_by_the_test_set_says_so(
    key: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    for keys in (key, [key], ["validation.accuracy", key]):
        objective.check(COMMANDS["train"], SimpleNamespace(objective=keys))
        warned = f"objective: found {key}, of data that the result is judged on"
        assert (warned in capsys.readouterr().err) == said
    # What a command chooses by itself, where something is chosen.
    for command, warned in (("train", ""), ("wgan", "quality.measures"), ("certify", "")):
        objective.check(COMMANDS[command], SimpleNamespace())
        assert not capsys.readouterr().err
        objective.check(COMMANDS[command], SimpleNamespace(), optimized=True)
        assert capsys.readouterr().err.startswith(warned and f"warning: objective: found {warned}")


def test_figures_that_no_run_logs_are_refused_before_it_begins(train_calls: Any) -> None:
    train_calls.action = _results
    with pytest.raises(UsageError, match="found validation.acuracy; allowed .*validation.accuracy"):
        train("objective=validation.acuracy")
    assert train_calls.configs == []


def test_a_goal_of_which_nothing_is_logged_is_refused_before_it_begins(train_calls: Any) -> None:
    train_calls.action = _results
    with pytest.raises(UsageError, match="data.validation: found 0, .*validation.accuracy.*above"):
        train("objective=validation.accuracy", "data.validation=0")
    with pytest.raises(UsageError, match="diagnostics_every: found 0, .*gradient_kept"):
        train("objective=[train.loss,diagnostics.gradient_kept]")
    assert train_calls.configs == []
    train("data.validation=0")  # nothing chooses by it
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    with pytest.raises(UsageError, match="data.validation: found 0, .*certified_accuracy_estimate"):
        train(
            *("-m", "hydra/sweeper=optuna", "data.validation=0", "hydra.sweep.dir=sweep"),
            "optimizer.lr=interval(0.1,0.5)",
        )
    assert len(train_calls.configs) == 1


def test_optuna_finds_the_best(train_calls: Any, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    train_calls.action = _results
    chosen_by: list[bool] = []
    monkeypatch.setattr(objective, "check", lambda *words: chosen_by.append(words[-1]))
    train("-m", "optimizer.lr=0.2", "hydra.sweep.dir=plain")
    train_calls.configs.clear()
    train(
        *("-m", "hydra/sweeper=optuna", "hydra.sweeper.direction=maximize"),
        *("hydra.sweeper.n_trials=12", "hydra.sweeper.sampler.seed=1", "hydra.sweep.dir=sweep"),
        "optimizer.lr=interval(0.1,0.5)",
    )
    assert len(train_calls.configs) == 12 and chosen_by == [False] + 12 * [True]
    found = yaml.safe_load((tmp_path / "sweep/optimization_results.yaml").read_text())
    tried = [config.optimizer.lr for config in train_calls.configs]
    best = min(tried, key=lambda lr: abs(lr - 0.3))
    assert found["best_params"]["optimizer.lr"] == best
    assert found["best_value"] == pytest.approx(1 - abs(best - 0.3))


def test_optuna_takes_several_objectives(train_calls: Any, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    train_calls.action = _results
    train(
        *("-m", "hydra/sweeper=optuna", "hydra.sweeper.direction=[maximize,minimize]"),
        # Seeded: of three trials at random, none may choose the better value.
        *("hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.seed=1", "hydra.sweep.dir=sweep"),
        *("objective=[validation.accuracy,clean_accuracy]", "optimizer.lr=choice(0.1,0.3)"),
    )
    found = yaml.safe_load((tmp_path / "sweep/optimization_results.yaml").read_text())
    assert {front["values"][0] for front in found["solutions"]} == {1.0}


def test_a_sweepers_own_fault_is_one_message(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    words = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "seed=interval(1,x)")
    assert lipsort(monkeypatch, "train", *words) == 2
    words = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.direction=sideways", "seed=1,2")
    assert lipsort(monkeypatch, "train", *words) == 2
    assert "Traceback" not in capsys.readouterr().err
    for wrong in ("optimizer.rate=interval(0.1,0.2)", "optimizer.lr=interval(-3,-2)"):
        assert lipsort(monkeypatch, "train", *words[:2], wrong) == 2
        said = capsys.readouterr().err
        assert "optimizer.rate: no such key" in said or "optimizer.lr: found -2.5; allow" in said
    assert train_calls.configs == []
