"""The finished jobs of a reproduction, and figures of them by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import read_json
from lipsort_cli.reports.found import log_of
from lipsort_cli.reproduction.jobs import Job
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


def at(*path: str, file: str = "results.json") -> Metric:
    """The figure under a path of keys of a job's file."""

    def metric(outcome: Outcome) -> float:
        value = outcome.results if file == "results.json" else outcome.file(file)
        for key in path:
            value = value[key]
        return float(value)

    return metric


class Outcomes:
    """All finished jobs, to be looked up by preset and arm.

    ``full`` presets answer to the name of their quick version, so that what is asserted is written
    once.
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
        found: dict[int, float] = {}
        for outcome in self.of(preset, **arm):
            if outcome.job.seed in found:
                raise LipsortError(f"{preset}: {arm} fits several jobs of seed {outcome.job.seed}")
            try:
                found[outcome.job.seed] = metric(outcome)
            except KeyError as error:
                raise LipsortError(f"{outcome.directory}: no {error} among its results") from error
        return Sample(found)


def short(preset: str) -> str:
    """``paper/full/NAME`` and ``paper/NAME`` to ``NAME``."""
    return preset.removeprefix("paper/").removeprefix("full/")
