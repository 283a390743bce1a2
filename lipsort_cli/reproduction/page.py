"""The report of a reproduction: verdicts first, then each experiment, then all runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError
from lipsort_cli.reports import build_report
from lipsort_cli.reports.blocks import Block, Heading, Paragraph
from lipsort_cli.reports.build import COMMANDS
from lipsort_cli.reproduction.outcomes import Outcomes
from lipsort_cli.reproduction.plan import Plan
from lipsort_cli.reproduction.record import described, results, section
from lipsort_cli.reproduction.study import FAILS, HOLDS, MISSING, Finding


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
    verdicts = {check.verdict for check in finding.checks}
    return next(word for word in (MISSING, FAILS, HOLDS) if word in verdicts)


def write(
    plan: Plan,
    findings: dict[int, Finding | str],
    out: Path,
    mode: str,
    failed: dict[Path, str],
) -> list[dict[str, Any]]:
    """Write ``report.md``, ``report.html`` and ``report.json`` into ``out``; what they say."""
    found = [
        described(study, findings[study.number], plan.members[study.number], mode, failed)
        for study in plan.studies
    ]
    blocks: list[Block] = [
        Paragraph(
            "Clean accuracies and attacks are empirical; certified accuracies, Lipschitz bounds "
            "and lower bounds of W1 are proven, rounding included."
        ),
        results(found),
        *(block for one in found for block in section(one, out)),
        Heading("All runs"),
    ]
    comparable = any(job.command in COMMANDS and job.finished for job in plan.jobs)
    build_report(
        [out / "jobs"] if comparable else [],  # of theory alone there are no runs to compare
        out,
        title="The paper, reproduced",
        pool=("seed", "data.subset_seed"),
        pictures=False,
        extra=blocks,
    )
    return found
