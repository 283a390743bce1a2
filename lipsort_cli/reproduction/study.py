"""What an experiment of the paper is made of: jobs, assertions, tables and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lipsort_cli.reports.blocks import Block
from lipsort_cli.reproduction.jobs import Job
from lipsort_cli.reproduction.outcomes import Outcomes
from lipsort_cli.reproduction.statistics import Sample, Test, greater

HOLDS, FAILS, MISSING = "holds", "FAILS", "not measured"


@dataclass(frozen=True)
class Check:
    """One claim of the paper, what this machine measured, and whether the ordering holds."""

    claim: str
    measured: str
    tests: tuple[tuple[str, Test], ...]
    """What is compared, in words, and the test over seeds."""
    published: str = ""
    side: str = ""
    """``as published`` or ``ours``: whose runs it looks at."""
    evidence: str = "empirical"
    """What kind of figures are compared."""
    reason: str = ""
    """Why it need not hold at this size, where that is known."""
    exact: tuple[tuple[str, bool], ...] = ()
    """Statements that need no statistics: they hold for every run, or they do not."""

    @property
    def words(self) -> list[tuple[str, str]]:
        """Exactly what was tested, one line a test, each after its verdict."""
        found = [(test.holds, test.words(what)) for what, test in self.tests]
        found += [(holds, f"{what}: {'yes' if holds else 'NO'}") for what, holds in self.exact]
        return [(HOLDS if holds else FAILS, words) for holds, words in found]

    @property
    def verdict(self) -> str:
        """Whether every test holds; a claim without one is neither true nor false."""
        verdicts = [verdict for verdict, _ in self.words]
        return MISSING if not verdicts else FAILS if FAILS in verdicts else HOLDS


@dataclass
class Finding:
    """What came of an experiment."""

    checks: list[Check] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Study:
    """One numbered experiment.

    ``presets``: ``paper/NAME`` as published, ``ours/NAME`` ours. ``follow`` makes further jobs from
    theirs, under a folder and in a size; ``judge`` looks at what has finished, draws into the
    folder it is given, and says what came of it.
    """

    number: int
    name: str
    title: str
    claim: str
    judge: Callable[[Outcomes, Path], Finding]
    presets: tuple[str, ...] = ()
    follow: Callable[[list[Job], Path, str], list[Job]] | None = None
    needs: Callable[[Job], bool] = lambda job: True
    """Which of the presets' jobs it looks at."""


Pair = tuple[str, Sample, Sample, float]
"""What is compared, the larger side, the smaller one, and by how much at least."""


def ordering(
    claim: str,
    side: str,
    pairs: Sequence[Pair],
    *,
    places: int = 3,
    published: str = "",
    evidence: str = "empirical",
    reason: str = "",
) -> Check:
    """The check that the first sample of each pair exceeds the second by its margin."""
    return Check(
        claim,
        "; ".join(f"{what}: {a.text(places)}, {b.text(places)}" for what, a, b, _ in pairs),
        tuple((what, greater(a, b, margin)) for what, a, b, margin in pairs),
        published,
        side,
        evidence,
        reason,
    )
