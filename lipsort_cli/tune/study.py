"""A study: its trials on disk, and Optuna, which chooses the next from what became of them.

The folder of each trial is the run directory of a training; its file ``trial.json`` says what was
tried and what came of it. Optuna's own study is made anew from those files whenever one goes on, so
that nothing depends on a database or on Optuna's version, and a kill costs nothing. What trial N
tries depends on the seed, on N and on the trials before it: with one worker a study that is killed
and resumed tries what it would have tried.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.config.tune import TuneConfig
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import make_folder, read_json, write_json
from lipsort_cli.reports.found import TRIAL
from lipsort_cli.reports.values import lower_is_better
from lipsort_cli.training.seeds import mixed_seed
from lipsort_cli.tune.space import Space, read

TRIALS = "trials"
"""Folder of the trials in that of the study."""

STARTUP = 5
"""Trials that are drawn at random, and that a median is taken of at least."""

WARM = 0.25
"""Share of a training before which none is ended early."""

_STATES = ("running", "complete", "pruned", "failed")


@dataclass(frozen=True)
class Goal:
    """A figure that is made as large as it gets, or as small."""

    name: str
    """As the user calls it."""
    key: str
    """As training logs it: ``SPLIT.NAME``."""
    largest: bool

    def signed(self, value: float) -> float:
        """``value``, so that more is better."""
        return value if self.largest else -value


def goals(names: Sequence[str], measures: Mapping[str, str]) -> tuple[Goal, ...]:
    """The goals that a user calls ``names``; by default the first of ``measures``."""
    found = []
    for name in names or [next(iter(measures))]:
        bare = name.removeprefix("-")
        key = measures.get(bare, bare)
        found.append(Goal(bare, key, lower_is_better(key) == name.startswith("-")))
    return tuple(found)


def searched(config: TuneConfig) -> tuple[tuple[Goal, ...], Space]:
    """The goals of a search, and its space.

    Raises:
        UsageError: as :func:`~lipsort_cli.tune.space.read`.
    """
    found = goals(config.objectives, COMMANDS[config.command].measures)
    keys = tuple(f"{word.partition('=')[0]}=" for word in config.moved)
    words = [word for word in config.overrides if not keys or not word.startswith(keys)]
    return found, read(config.command, [*words, *config.moved], [goal.key for goal in found])


@dataclass
class Trial:
    """What ``trial.json`` holds: one training of a study, and what became of it."""

    number: int
    words: list[str]
    """Its overrides, those that are searched."""
    params: dict[str, Any]
    """The same as Optuna drew them."""
    state: str = "running"
    values: list[float] = field(default_factory=list)
    """The figure of each goal, of one that is complete."""
    reports: dict[int, float] = field(default_factory=dict)
    """What the goal was on the way, by thousandths of the training that were done."""
    seconds: float = 0.0
    error: str = ""


class Study:
    """The trials in ``folder`` and Optuna's view of them.

    Raises:
        UsageError: Optuna is not installed.
        LipsortError: a file of a trial is damaged.
    """

    def __init__(self, folder: Path, space: Space, goals: tuple[Goal, ...], seed: int) -> None:
        self.optuna: Any = optuna_package()
        self.folder, self.space, self.goals, self.seed = folder, space, goals, seed
        self.trials: list[Trial] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study = self.optuna.create_study(
                directions=["maximize" if goal.largest else "minimize" for goal in goals],
                sampler=self.optuna.samplers.RandomSampler(seed=0),
                pruner=self.optuna.pruners.MedianPruner(STARTUP, round(1000 * WARM)),
            )
        self._asked: list[Any] = []
        for trial in _read(folder):
            self._repeat(trial)

    def directory(self, trial: Trial) -> Path:
        """Its run directory."""
        return self.folder / TRIALS / f"{trial.number:03d}"

    def in_state(self, *states: str) -> list[Trial]:
        """The trials in one of ``states``, in their order."""
        return [trial for trial in self.trials if trial.state in states]

    def _repeat(self, trial: Trial) -> None:
        """Tell Optuna of a trial of an earlier start."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study.enqueue_trial(trial.params)
            asked = self._study.ask()
            if self.space.draw(asked) != trial.words:
                raise LipsortError(
                    f"{self.directory(trial) / TRIAL}: damaged: found {' '.join(trial.words)}"
                )
            self._asked.append(asked)
            self.trials.append(trial)
            for done, value in trial.reports.items():
                asked.report(value, done)
            if trial.state != "running":
                self._tell(trial)

    def ask(self) -> Trial:
        """Begin a trial: draw what it tries, and write that down."""
        number = len(self.trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study.sampler = self.optuna.samplers.TPESampler(
                seed=mixed_seed(self.seed, number, 0) % 2**32,
                n_startup_trials=STARTUP,
                multivariate=True,
                # Those that run at the same time are not to try the same.
                constant_liar=True,
            )
            asked = self._study.ask()
            words = self.space.draw(asked)
            if (other := self._untried(asked.params)) is not None:
                # A failure is nothing that the sampler learns from.
                self._study.tell(asked, None, self.optuna.trial.TrialState.FAIL)
                self._study.enqueue_trial(other)
                asked = self._study.ask()
                words = self.space.draw(asked)
        trial = Trial(number, words, dict(asked.params))
        self._asked.append(asked)
        self.trials.append(trial)
        make_folder(self.directory(trial))
        self._write(trial)
        return trial

    def _untried(self, drawn: Mapping[str, Any]) -> dict[str, Any] | None:
        """What to try where ``drawn`` was tried before, and would come to the same: the next that
        was not, from a random one on."""
        tried = [trial.params for trial in self.trials]
        if drawn not in tried or self.space.size <= len(tried) or math.isinf(self.space.size):
            return None
        size, start = int(self.space.size), mixed_seed(self.seed, len(tried), 1)
        places = ((start + step) % size for step in range(size))
        return next(found for found in map(self.space.at, places) if found not in tried)

    def report(self, trial: Trial, done: float, value: float) -> bool:
        """Note what the only goal is when the share ``done`` of a trial is done: is it to end?"""
        place = round(1000 * done)
        if place in trial.reports or not math.isfinite(value):
            return False
        trial.reports[place] = value
        self._write(trial)
        asked = self._asked[trial.number]
        asked.report(value, place)
        return bool(done < 1 and asked.should_prune())

    def end(self, trial: Trial, state: str, figures: Mapping[str, float], error: str = "") -> None:
        """What became of a trial: ``complete``, ``pruned`` or ``failed``, and its last figures."""
        trial.state, trial.error = state, error
        if state == "complete":
            values = [figures.get(goal.key, math.nan) for goal in self.goals]
            missing = [g.key for g, v in zip(self.goals, values, strict=True) if math.isnan(v)]
            if missing:
                trial.state = "failed"
                trial.error = (
                    f"objectives: found {missing[0]}, which its training logged no figure of; it "
                    f"logged: {', '.join(figures)}"
                )
            else:
                trial.values = values
        self._tell(trial)
        self._write(trial)

    def _tell(self, trial: Trial) -> None:
        states = self.optuna.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
        # Versions differ in whether a trial that did not end well may have values.
        self._study.tell(self._asked[trial.number], trial.values or None, state[trial.state])

    def _write(self, trial: Trial) -> None:
        write_json(self.directory(trial) / TRIAL, asdict(trial))

    def front(self) -> list[Trial]:
        """The complete trials that no other is better than in everything, by the first goal."""
        found = self.in_state("complete")
        return sorted(
            (t for t in found if not any(self._beats(other, t) for other in found)),
            key=lambda t: (-self.goals[0].signed(t.values[0]), t.number),
        )

    def _beats(self, one: Trial, other: Trial) -> bool:
        """Whether ``one`` is as good in every goal, and better in one of them or earlier."""
        a, b = (self.signed(t) for t in (one, other))
        return all(x >= y for x, y in zip(a, b, strict=True)) and (
            a != b or one.number < other.number
        )

    def signed(self, trial: Trial) -> list[float]:
        """The values of a complete trial, so that more is better."""
        return [g.signed(v) for g, v in zip(self.goals, trial.values, strict=True)]

    def best(self) -> Trial:
        """The best trial; of a front the one with the largest sum of its goals."""
        return max(self.front(), key=lambda trial: sum(self.signed(trial)))


def _read(folder: Path) -> Iterator[Trial]:
    """The trials on disk, in their order."""
    for number, path in enumerate(sorted((folder / TRIALS).glob(f"*/{TRIAL}"))):
        found = read_json(path)
        try:
            trial = Trial(**found)
            trial.reports = {int(done): float(value) for done, value in trial.reports.items()}
            if trial.number != number or trial.state not in _STATES:
                raise ValueError(f"trial {trial.number}, {trial.state}")
        except (TypeError, ValueError, AttributeError) as error:
            raise LipsortError(f"{path}: damaged ({error})") from error
        yield trial


def optuna_package() -> Any:
    """Optuna, quiet. Raises UsageError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            "tune: Optuna is not installed; install it with `pip install 'lipsort[tune]'`"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
