"""The report of a reproduction: verdicts first, then each experiment, then all runs."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import read_json
from lipsort_cli.reports import build_report
from lipsort_cli.reports.blocks import Block, Heading, Paragraph, Table
from lipsort_cli.reports.build import COMMANDS
from lipsort_cli.reproduction.jobs import MARK, Job
from lipsort_cli.reproduction.outcomes import Outcomes
from lipsort_cli.reproduction.plan import Plan
from lipsort_cli.reproduction.study import Finding, Study

HOLDS, FAILS, MISSING = "holds", "FAILS", "not measured"

METHOD = (
    "What is tested: an ordering holds if the lower end of a one-sided 95% interval of Student's t "
    "for the mean over seeds lies above the stated margin. Differences are paired by seed. With "
    "three seeds the lower end is the mean minus 2.92 standard errors. Published figures stand "
    "beside for comparison; the verdict is about the ordering alone."
)


def judged(plan: Plan, out: Path) -> dict[int, Finding | str]:
    """What came of every experiment; a message where something that it needs is missing."""
    found: dict[int, Finding | str] = {}
    folder = out / "figures"
    for study in plan.studies:
        if not any(job.finished for job in plan.members[study.number]):
            found[study.number] = "no job has finished"
            continue
        try:
            finding = study.judge(Outcomes(plan.members[study.number]), folder)
        except LipsortError as error:
            found[study.number] = str(error)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            # Files of a job that hold something else than its command writes.
            found[study.number] = f"unexpected content among its results: {error!r}"
        else:
            found[study.number] = finding
    return found


def verdict(finding: Finding | str, missing: int) -> str:
    """One word on an experiment."""
    if isinstance(finding, str) or missing or not finding.checks:
        return MISSING
    return HOLDS if all(check.holds for check in finding.checks) else FAILS


def verdicts(plan: Plan, findings: dict[int, Finding | str]) -> Table:
    """The table that a reader looks at first."""
    rows = []
    for study in plan.studies:
        finding = findings[study.number]
        missing = [job for job in plan.members[study.number] if not job.finished]
        if isinstance(finding, str) or not finding.checks:
            reason = finding if isinstance(finding, str) else "no job has finished"
            rows.append([str(study.number), study.claim, "", "", reason, "", MISSING])
            continue
        for check in finding.checks:
            word = HOLDS if check.holds else FAILS
            if missing:
                word = f"{word}, {len(missing)} jobs missing"
            rows.append(
                [
                    str(study.number),
                    check.claim,
                    check.side,
                    check.published,
                    check.measured,
                    check.evidence,
                    word,
                ]
            )
    return Table(
        "The paper's claims, and this machine",
        [
            "",
            "claim",
            "arm",
            "published",
            "this machine (mean ± deviation over seeds)",
            "evidence",
            "verdict",
        ],
        rows,
        METHOD,
        keys=1,
        right=frozenset(),
    )


def write(
    plan: Plan, findings: dict[int, Finding | str], out: Path, *, seeds: int, mode: str
) -> None:
    """Write ``report.md``, ``report.html`` and ``report.json`` into ``out``."""
    blocks: list[Block] = [
        Paragraph(_circumstances(plan.jobs, seeds, mode)),
        verdicts(plan, findings),
    ]
    for study in plan.studies:
        blocks += _section(study, findings[study.number], plan.members[study.number])
    blocks.append(Heading("All runs"))
    comparable = any(job.command in COMMANDS for job in plan.jobs)
    build_report(
        [out / "jobs"] if comparable else [],  # theory alone has no runs to compare
        out,
        title="The paper, reproduced",
        pool=("seed", "data.subset_seed"),
        pictures=False,
        extra=blocks,
    )


def _section(study: Study, finding: Finding | str, jobs: list[Job]) -> list[Block]:
    blocks: list[Block] = [Heading(f"{study.number}. {study.title}"), Paragraph(study.claim)]
    if isinstance(finding, str):
        return [*blocks, Paragraph(f"Not measured: {finding}")]
    missing = [job for job in jobs if not job.finished]
    if missing:
        blocks.append(Paragraph(f"{len(missing)} of {len(jobs)} jobs have not finished."))
    blocks += finding.blocks
    rows = [
        [HOLDS if check.holds else FAILS, check.side, words]
        for check in finding.checks
        for words in [*check.words, *([check.reason] if check.reason and not check.holds else [])]
    ]
    if rows:
        blocks.append(Table("What was tested", ["claim", "arm", "test"], rows, right=frozenset()))
    if study.presets:
        names = ", ".join(dict.fromkeys(job.preset for job in jobs if ":" not in job.preset))
        blocks.append(Paragraph(f"Presets: {names}."))
    return blocks


def spent(jobs: list[Job], key: str) -> float:
    """Minutes that the finished jobs took: ``seconds`` or ``cpu_seconds``."""
    marks = [read_json(job.directory / MARK) for job in jobs if job.finished]
    return sum(float(mark.get(key, 0.0)) for mark in marks) / 60


def _circumstances(jobs: list[Job], seeds: int, mode: str) -> str:
    return (
        f"The {mode} version: {len(jobs)} jobs, {seeds} seeds, {spent(jobs, 'seconds'):.1f} "
        f"minutes of jobs ({spent(jobs, 'cpu_seconds'):.1f} of processor time) on {processor()}, "
        f"{os.cpu_count()} cores. Clean accuracies and attacks are empirical; certified "
        "accuracies, Lipschitz bounds and lower bounds of W1 are proven, rounding included."
    )


def processor() -> str:
    """What the machine calls its processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
