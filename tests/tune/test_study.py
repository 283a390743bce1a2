"""Studies on disk: whatever Optuna's version, and however often they are gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import read_json, write_json
from lipsort_cli.tune.space import Dimension, Space
from lipsort_cli.tune.study import Goal, Study, Trial, goals

pytest.importorskip("optuna")
SPACE = Space(
    (
        Dimension("x", 1e-3, 1.0, log=True),
        Dimension("n", 1, 64, log=True, whole=True),
        Dimension("k", values=("1", "2", "3"), ordered=True),
        Dimension("c", values=("a", "b")),
    ),
    ("fixed=1",),
)
ONE = (Goal("a", "validation.a", True),)
TWO = (*ONE, Goal("loss", "validation.loss", False))


def _figures(trial: Trial) -> dict[str, float]:
    values = dict(word.split("=") for word in trial.words)
    x = float(values["x"])
    return {"validation.a": -abs(x - 0.1) - (values["c"] == "a"), "validation.loss": x}


def _go_on(folder: Path, goals: tuple[Goal, ...], count: int) -> Study:
    study = Study(folder, SPACE, goals, seed=3)
    while len(study.trials) < count:
        trial = study.ask()
        study.end(trial, "complete", _figures(trial))
    return study


@pytest.mark.parametrize("wanted", [ONE, TWO])
def test_a_study_that_is_gone_on_with_tries_what_it_would_have_tried(
    tmp_path: Path, wanted: tuple[Goal, ...]
) -> None:
    whole = _go_on(tmp_path / "whole", wanted, 16)
    for count in (1, 7, 8, 16):
        parts = _go_on(tmp_path / "parts", wanted, count)
    assert [t.words for t in parts.trials] == [t.words for t in whole.trials]
    assert [t.values for t in parts.front()] == [t.values for t in whole.front()]
    assert len({tuple(t.words) for t in whole.trials}) == 16


def test_nothing_is_tried_twice_while_something_is_left(tmp_path: Path) -> None:
    whole = Dimension("n", 1, 2, whole=True)
    space = Space((whole, *SPACE.dimensions[2:]), ())
    assert (space.size, SPACE.size) == (12, float("inf"))
    for count in (7, 12):
        study = Study(tmp_path, space, ONE, seed=3)
        while len(study.trials) < count:
            study.end(study.ask(), "complete", {"validation.a": len(study.trials)})
    assert len({tuple(t.words) for t in study.trials}) == 12
    once = Study(tmp_path / "once", space, ONE, seed=3)
    for other in study.trials:
        trial = once.ask()
        assert trial.words == other.words
        once.end(trial, "complete", {"validation.a": len(once.trials)})


def test_a_search_finds_more_than_chance(tmp_path: Path) -> None:
    study = _go_on(tmp_path, ONE, 30)
    tried = [study.signed(trial)[0] for trial in study.trials]
    assert sum(tried[15:]) > sum(tried[:15])
    assert study.best().values == [max(tried)]
    assert "c=b" in study.best().words


def test_the_front_is_what_no_other_beats(tmp_path: Path) -> None:
    study = Study(tmp_path, SPACE, TWO, seed=0)
    for values in ((0.5, 3.0), (0.9, 5.0), (0.4, 4.0), (0.9, 5.0), (0.2, 1.0), (0.5, 4.0)):
        named = dict(zip(("validation.a", "validation.loss"), values, strict=True))
        study.end(study.ask(), "complete", named)
    assert [trial.number for trial in study.front()] == [1, 0, 4]
    assert study.best().number == 4


def test_trials_that_lag_behind_are_ended_early(tmp_path: Path) -> None:
    study = Study(tmp_path, SPACE, ONE, seed=0)
    for quality in (1.0, 0.9, 0.8, 0.7, 0.6):
        trial = study.ask()
        stops = [study.report(trial, done / 4, quality * done) for done in range(1, 5)]
        assert stops == [False] * 4
        study.end(trial, "complete", {"validation.a": quality})
    study = Study(tmp_path, SPACE, ONE, seed=0)
    good, bad = study.ask(), study.ask()
    assert not study.report(good, 0.5, 1.9)
    assert not study.report(bad, 0.1, 0.0)
    assert study.report(bad, 0.5, 0.1)
    assert not study.report(bad, 0.5, 0.1), "told twice, as a trial that is resumed does"
    study.end(bad, "pruned", {"validation.a": 0.1})
    again = Study(tmp_path, SPACE, ONE, seed=0)
    assert [trial.state for trial in again.trials[-2:]] == ["running", "pruned"]
    assert again.best().number == 0


def test_a_trial_without_the_figure_has_failed(tmp_path: Path) -> None:
    study = Study(tmp_path, SPACE, ONE, seed=0)
    for figures in ({"train.loss": 1.0}, {"validation.a": float("nan")}):
        trial = study.ask()
        study.end(trial, "complete", figures)
        assert trial.state == "failed"
        assert "no figure of" in trial.error and next(iter(figures)) in trial.error


@pytest.mark.parametrize(
    "damage",
    [{"number": 7}, {"state": "lost"}, {"words": ["x=9"]}, {"more": 1}, {"reports": {"a": 1}}],
)
def test_a_damaged_trial_is_named(tmp_path: Path, damage: dict[str, object]) -> None:
    _go_on(tmp_path, ONE, 2)
    path = tmp_path / "trials" / "001" / "trial.json"
    write_json(path, {**read_json(path), **damage})
    with pytest.raises(LipsortError, match="001/trial.json: damaged"):
        Study(tmp_path, SPACE, ONE, seed=3)


def test_names_are_figures_with_a_direction() -> None:
    measures = {"certified": "validation.certified", "clean": "validation.accuracy"}
    assert goals([], measures) == (Goal("certified", "validation.certified", True),)
    assert goals(["-clean", "train.loss"], measures) == (
        Goal("clean", "validation.accuracy", False),
        Goal("train.loss", "train.loss", False),
    )
    assert goals(["-train.loss"], measures)[0].largest
