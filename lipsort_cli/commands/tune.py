"""`lipsort tune COMMAND`: searches keys on validation data; a front, and the line that is best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from lipsort_cli.config.catalog import all_keys
from lipsort_cli.config.tune import TuneConfig
from lipsort_cli.console import (
    command_line,
    console,
    follow_up,
    plural,
    results_line,
    say,
    show_table,
)
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.figures.front import draw_front, draw_history
from lipsort_cli.files import paths_from, resolved, write_csv, write_json
from lipsort_cli.identity import data_described
from lipsort_cli.reports.values import is_share
from lipsort_cli.runs import RunRecord, read_record, started_in
from lipsort_cli.training.progress import TrainingProgress
from lipsort_cli.tune.search import Search
from lipsort_cli.tune.sources import require_data
from lipsort_cli.tune.study import Study, Trial, searched

_ENDED = ("complete", "pruned", "failed")
"""States of trials that are over."""


def run(config: TuneConfig, directory: Path) -> None:
    """Search in ``directory``; go on with the trials that lie there."""
    wanted, space = searched(config)
    study = Study(directory, space, wanted, config.search_seed)
    begun = len(study.trials)
    if config.trials < begun:
        raise UsageError(
            f"trials: found {config.trials} for {directory}, a study that has begun {begun}; "
            f"allowed: {begun} or more, or hydra.run.dir=FOLDER for another study"
        )
    if config.trials > begun or study.in_state("running"):
        with paths_from(started_in(directory)):
            _require_same(study, require_data(config.command, space))
    with RunRecord.recording(directory, "tune", config=config, seed=config.search_seed):
        _search(study, config, directory, int(min(config.trials, study.space.size)))
        if not study.in_state("complete"):
            raise LipsortError(f"none of {plural(len(study.trials), 'trial')} came to its end")
        _write(study, config, directory)
    _draw(study, directory)
    _show(study, config, directory)


def _require_same(study: Study, fingerprints: list[dict[str, Any]]) -> None:
    """Refuse to set trials beside earlier ones of other data."""
    known = [data_described(one) for one in fingerprints]
    for trial in study.in_state("complete", "pruned"):
        folder = study.directory(trial)
        if data_described(read_record(folder).get("data") or {}) not in known:
            raise LipsortError(
                f"{folder} was trained on other data than those that are there now; put the "
                "original data back, or begin another study with hydra.run.dir=FOLDER"
            )


def _search(study: Study, config: TuneConfig, directory: Path, trials: int) -> None:
    earlier = len(study.trials) - len(study.in_state("running"))
    console.print(
        f"searching {', '.join(one.key for one in study.space.dimensions)}: "
        f"{plural(trials, 'trial')}"
        + (", all that there are" if trials < config.trials else "")
        + (f", {earlier} of them done earlier" if earlier else "")
        + f"; {config.workers} at a time; for "
        + " and ".join(
            f"{'the largest' if goal.largest else 'the least'} {goal.key}" for goal in study.goals
        ),
        markup=False,
    )
    if failed := len(study.in_state("failed")):
        again = command_line("lipsort", "tune", ("resume", directory), f"trials={trials + failed}")
        say(
            f"{plural(failed, 'trial')} failed earlier: counted, and not tried again; "
            f"`{again}` begins as many others"
        )
    with TrainingProgress(trials, earlier, unit="trial", interval=0.0) as progress:

        def told(trial: Trial) -> None:
            done = len(study.trials) - len(study.in_state("running"))
            values = " ".join(
                f"{goal.name} {_text(goal.key, value)}"
                for goal, value in zip(study.goals, trial.values, strict=False)
            )
            progress.milestone(done, f"{trial.state} {values} {' '.join(trial.words)}")

        try:
            Search(
                study,
                config.command,
                trials=trials,
                workers=config.workers,
                prune=config.prune,
                cwd=started_in(directory),
                told=told,
            ).run()
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"interrupted after {len(study.in_state(*_ENDED))} of "
                f"{plural(trials, 'trial')}; go on with "
                f"`lipsort tune {command_line(('resume', directory))}`"
            ) from error


def _text(key: str, value: float) -> str:
    return f"{value:.2%}" if is_share(key) or key.endswith("estimate") else f"{value:.6g}"


def _words(study: Study, config: TuneConfig, trial: Trial) -> list[str]:
    """The command line that trains and judges what a trial tried."""
    return ["lipsort", config.command, *study.space.fixed, *trial.words]


def _write(study: Study, config: TuneConfig, directory: Path) -> None:
    def described(trial: Trial) -> dict[str, Any]:
        return {
            "trial": trial.number,
            "values": {g.name: v for g, v in zip(study.goals, trial.values, strict=True)},
            "words": trial.words,
            "command": command_line(*_words(study, config, trial)),
        }

    write_json(
        directory / "results.json",
        {
            "command": config.command,
            "evidence": "empirical",
            "objectives": [
                {"name": g.name, "figure": g.key, "best": "largest" if g.largest else "least"}
                for g in study.goals
            ],
            "trials": {state: len(study.in_state(state)) for state in _ENDED},
            "best": described(study.best()),
            "front": [described(trial) for trial in study.front()],
        },
    )
    rows = (
        [
            trial.number,
            trial.state,
            *trial.values,
            *[""] * (len(study.goals) - len(trial.values)),
            *(word.partition("=")[2] for word in trial.words),
            trial.seconds,
        ]
        for trial in study.trials
    )
    keys = [one.key for one in study.space.dimensions]
    header = ["trial", "state", *(g.name for g in study.goals), *keys, "seconds"]
    write_csv(directory / "trials.csv", header, rows)


def _draw(study: Study, directory: Path) -> None:
    complete, front = study.in_state("complete"), study.front()
    figures = directory / "figures"
    title = f"{plural(len(complete), 'trial')} on validation data"
    if len(study.goals) == 1:
        goal = study.goals[0]
        points = {trial.number: trial.values[0] for trial in complete}
        draw_history(figures / "history.png", points, goal.key, largest=goal.largest, title=title)
        return
    draw_front(
        figures / "front.png",
        {trial.number: (trial.values[0], trial.values[1]) for trial in complete},
        [trial.number for trial in front],
        (study.goals[0].key, study.goals[1].key),
        best=study.best().number,
        title=title,
    )


def _show(study: Study, config: TuneConfig, directory: Path) -> None:
    front, best = study.front(), study.best()
    counted = ", ".join(f"{len(study.in_state(state))} {state}" for state in _ENDED)
    several = len(study.goals) > 1
    console.print(f"{'The front' if several else 'The best'} of {counted}:", markup=False)
    goals = [f"{goal.name}\n(empirical)" for goal in study.goals]
    rows = [
        (
            f"{trial.number}{' *' if several and trial is best else ''}",
            *(_text(g.key, v) for g, v in zip(study.goals, trial.values, strict=True)),
            *(word.partition("=")[2] for word in trial.words),
        )
        for trial in front
    ]
    show_table(["trial", *goals, *(one.key for one in study.space.dimensions)], rows)
    splits = " and ".join(sorted({goal.key.partition(".")[0] for goal in study.goals}))
    unseen = "the test set" if config.command == "train" else "the held-out rows"
    console.print(
        f"Figures are those of the split {splits}; no trial has seen {unseen}."
        + (" * the largest sum." if several else ""),
        markup=False,
    )
    picture = f"figures/{'front' if several else 'history'}.png"
    results_line("Results", directory, "results.json", "trials.csv", picture)
    judged = command_line("lipsort", config.command, ("resume", study.directory(best)))
    console.print(f"judge trial {best.number} on {unseen}: {judged}", soft_wrap=True)
    follow_up(*map(_from_here(config.command, directory), _words(study, config, best)))


def _from_here(command: str, directory: Path) -> Callable[[str], str | tuple[str, Path]]:
    """Words of a study with the paths in them as they are seen from where the user stands."""
    began = started_in(directory)
    places = {key.name for key in all_keys(command) if key.field.metadata.get("path")}

    def seen(word: str) -> str | tuple[str, Path]:
        if began is None or word.partition("=")[0] not in places:
            return word
        override = OverridesParser.create().parse_override(word)
        value = str(override.value())
        return word if value == "None" else (override.key_or_group, began / resolved(value))

    return seen
