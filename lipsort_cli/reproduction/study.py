"""What an experiment of the paper is made of: jobs, assertions, tables and pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lipsort_cli.reports.blocks import Block
from lipsort_cli.reproduction.jobs import Job
from lipsort_cli.reproduction.outcomes import Outcomes
from lipsort_cli.reproduction.statistics import Test


@dataclass(frozen=True)
class Check:
    """One claim of the paper, what this machine measured, and whether the ordering holds."""

    claim: str
    measured: str
    tests: tuple[tuple[str, Test], ...]
    """What is compared, in words, and the test over seeds."""
    published: str = ""
    exact: tuple[tuple[str, bool], ...] = ()
    """Statements that need no statistics: they hold for every run, or they do not."""

    @property
    def holds(self) -> bool:
        """Whether every test holds, and there is one."""
        outcomes = [test.holds for _, test in self.tests] + [holds for _, holds in self.exact]
        return bool(outcomes) and all(outcomes)

    @property
    def words(self) -> list[str]:
        """Exactly what was tested, one line a test."""
        return [test.words(what) for what, test in self.tests] + [
            f"{what}: {'yes' if holds else 'NO'}" for what, holds in self.exact
        ]


@dataclass
class Finding:
    """What came of an experiment."""

    checks: list[Check] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Study:
    """One numbered experiment.

    ``follow`` makes further jobs from those of the presets; ``judge`` looks at what has finished,
    draws into the folder it is given, and says what came of it.
    """

    number: int
    name: str
    title: str
    claim: str
    judge: Callable[[Outcomes, Path], Finding]
    presets: tuple[str, ...] = ()
    follow: Callable[[list[Job], Path], list[Job]] | None = None
