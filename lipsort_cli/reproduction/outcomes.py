"""The finished jobs of a reproduction, and figures of them by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lipsort_cli.config.schema import GROUPS
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import read_json
from lipsort_cli.reports.blocks import Table
from lipsort_cli.reports.found import log_of
from lipsort_cli.reproduction.jobs import MARK, Job
from lipsort_cli.reproduction.statistics import Sample


@dataclass(frozen=True)
class Outcome:
    """One finished job and the files that it wrote."""

    job: Job

    def __hash__(self) -> int:
        return hash(self.job.directory)

    @property
    def directory(self) -> Path:
        """Of the job."""
        return self.job.directory

    @cached_property
    def results(self) -> Any:
        """Content of ``results.json``."""
        return self.file("results.json")

    def file(self, name: str) -> Any:
        """Content of a JSON file of the job's directory.

        Raises:
            LipsortError: it is missing or damaged.
        """
        return read_json(self.directory / name)

    def lines(self, split: str) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl`` of one split, in order."""
        entries = log_of(self.directory)
        return [entry for entry in entries if entry.get("split") == split]


Metric = Callable[[Outcome], float]


def bound_from(side: str) -> Callable[[Metric], Metric]:
    """Marks a proven figure: a bound from ``below`` is printed rounded down, from ``above`` up."""

    def mark(metric: Metric) -> Metric:
        setattr(metric, "rounding", {"below": "down", "above": "up"}[side])  # noqa: B010
        return metric

    return mark


def at(*path: str | int, file: str = "results.json") -> Metric:
    """The figure under a path of keys of a job's file."""

    def metric(outcome: Outcome) -> float:
        value = outcome.results if file == "results.json" else outcome.file(file)
        for key in path:
            value = value[key]
        return float(value)

    return metric


SIDES = {"paper": "as published", "ours": "ours"}
"""What the presets' folders are called in tables."""


@dataclass(frozen=True)
class Arm:
    """One setting of a preset: its finished jobs, which differ in nothing but the seed."""

    preset: str
    values: tuple[tuple[str, str], ...]
    outcomes: tuple[Outcome, ...]

    @property
    def side(self) -> str:
        """``as published`` or ``ours``."""
        return SIDES.get(self.preset.partition("/")[0], "")

    def __getitem__(self, key: str) -> str:
        return dict(self.values).get(key, "")

    @property
    def name(self) -> str:
        """The preset's, in words."""
        return self.preset.partition("/")[2].partition(":")[0].replace("_", " ")

    @property
    def words(self) -> list[str]:
        """What its preset's sweep lists of it."""
        return [v if k in GROUPS else f"{k.rpartition('.')[2]} {v}" for k, v in self.values]

    @property
    def label(self) -> str:
        """What tells it from other arms: the preset's name and what its sweep lists."""
        return ", ".join([self.name, *self.words])

    def sample(self, metric: Metric) -> Sample:
        """A figure by seed.

        Raises:
            LipsortError: a job's results do not hold it, or two jobs have one seed.
        """
        found: dict[int, float] = {}
        for outcome in self.outcomes:
            if outcome.job.seed in found:
                raise LipsortError(f"{self.label}: several jobs have seed {outcome.job.seed}")
            try:
                found[outcome.job.seed] = metric(outcome)
            except KeyError as error:
                raise LipsortError(f"{outcome.directory}: no {error} among its results") from error
        return Sample(found, getattr(metric, "rounding", ""))


def seconds(outcome: Outcome) -> float:
    """Processor seconds of the job, evaluation included."""
    return float(outcome.file(MARK).get("cpu_seconds", 0.0))


def steps(outcome: Outcome) -> float:
    """Steps of training."""
    return float(max((entry.get("step", 0) for entry in log_of(outcome.directory)), default=0))


class Outcomes:
    """All finished jobs, to be looked up by preset and arm.

    ``paper/full`` presets answer to the name of their small version, so that what is asserted is
    written once.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._all = [Outcome(job) for job in jobs if job.finished]

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._all)

    def of(self, preset: str, **arm: object) -> list[Outcome]:
        """Jobs of ``paper/PRESET`` whose arm has these values; ``__`` stands for a dot."""
        wanted = {key.replace("__", "."): str(value) for key, value in arm.items()}
        return [
            outcome
            for outcome in self._all
            if short(outcome.job.preset) == preset
            and all(outcome.job.arm.get(key) == value for key, value in wanted.items())
        ]

    def sample(self, metric: Metric, preset: str, **arm: object) -> Sample:
        """A figure of the jobs that :meth:`of` finds, by seed.

        Raises:
            LipsortError: two of them have one seed, so that the arm does not tell them apart.
        """
        return Arm(preset, (), tuple(self.of(preset, **arm))).sample(metric)

    def beside(self, arm: Arm, metric: Metric, **changes: str) -> Sample:
        """The same of the setting that differs from ``arm`` in these values alone."""
        return self.sample(metric, arm.preset, **dict(arm.values) | changes)

    def sort_and_relu(
        self, metric: Metric, preset: str, sort: str = "maxmin", **arm: object
    ) -> tuple[Sample, Sample]:
        """The same of a sorting activation, and of ReLU, which differ in nothing else."""
        relu = self.sample(metric, preset, activation="relu", **arm)
        return self.sample(metric, preset, activation=sort, **arm), relu

    def arms(self, *presets: str, **arm: object) -> list[Arm]:
        """Every setting of the presets that has finished jobs, in the order of their sweeps."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], list[Outcome]] = {}
        for preset in presets:
            for outcome in self.of(preset, **arm):
                values = tuple((k, v) for k, v in outcome.job.arm.items() if k != "seed")
                found.setdefault((preset, values), []).append(outcome)
        return [Arm(*key, tuple(outcomes)) for key, outcomes in found.items()]


Column = tuple[str, Metric, int]
"""Title, figure and decimal places of a table's column."""


def table(title: str, arms: Sequence[Arm], columns: Sequence[Column], caption: str) -> Table:
    """One row an arm: what it is, its figures, steps and processor seconds."""
    rows = [
        [arm.side, arm.label, *(arm.sample(metric).text(places) for _, metric, places in columns),
         f"{arm.sample(steps).mean:.0f}", f"{arm.sample(seconds).mean:.1f}"]
        for arm in arms
    ]  # fmt: skip
    header = ["", "setting", *(name for name, _, _ in columns), "steps", "s"]
    caption += " Mean ± standard deviation over seeds; s: processor seconds a job."
    return Table(title, header, rows, caption, keys=2)


def short(preset: str) -> str:
    """``paper/full/NAME`` to ``paper/NAME``."""
    return preset.replace("paper/full/", "paper/")
