"""`lipsort reproduce`: the paper's experiments, their orderings asserted, in one report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from lipsort_cli.console import console, follow_up, plural, results_line, warn
from lipsort_cli.errors import Interrupted, UsageError
from lipsort_cli.finding import usable_folder
from lipsort_cli.identity import locked
from lipsort_cli.quoting import folder_given_by
from lipsort_cli.versions import cores

if TYPE_CHECKING:
    from lipsort_cli.reproduction.jobs import Job
    from lipsort_cli.reproduction.plan import Plan
    from lipsort_cli.reproduction.study import Finding

SEEDS = 3
MOST_SEEDS = 100


def reproduce(
    experiments: Annotated[
        list[str] | None,
        Argument(metavar="[EXPERIMENT]...", help="Numbers or names; all if left out."),
    ] = None,
    quick: Annotated[
        bool, Option("--quick", help="Small versions, minutes (the default).")
    ] = False,
    standard: Annotated[
        bool, Option("--standard", help="At most an hour an experiment on two cores.")
    ] = False,
    full: Annotated[bool, Option("--full", help="Published sizes, many hours.")] = False,
    seeds: Annotated[int, Option(metavar="N", help="Seeds 0 to N-1.")] = SEEDS,
    workers: Annotated[
        int | None, Option(metavar="N", help="Jobs at a time; as many as cores if left out.")
    ] = None,
    out: Annotated[
        Path | None, Option(metavar="FOLDER", help="Results (outputs/reproduce/SIZE).")
    ] = None,
    kept: Annotated[
        Path | None,
        Option("--record", metavar="FOLDER", help="Keep results there as JSON, write their page."),
    ] = None,
    page: Annotated[
        Path | None,
        Option("--page", metavar="FOLDER", help="Write FOLDER.md from kept results, run nothing."),
    ] = None,
    listing: Annotated[bool, Option("--list", help="Print each job's command, run none.")] = False,
) -> int:
    """Run the paper's experiments; assert their orderings; write one report.

    Over several seeds; the report is Markdown and HTML. Jobs that have finished are kept: the same
    command goes on where it was interrupted. An unknown EXPERIMENT is answered with all of them.

    Exit codes: 0 every ordering holds; 1 one does not, or a job failed; 2 the command line is
    wrong; 130 interrupted.
    """
    from lipsort_cli.reproduction.plan import choose, plan, prepare
    from lipsort_cli.reproduction.record import record_folder
    from lipsort_cli.reproduction.studies import STUDIES

    if page is not None:
        given = (experiments, quick, standard, full, seeds != SEEDS, workers, out, kept, listing)
        return _write_page(page, alone=not any(given))
    mode = _size(quick, standard, full)
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"--seeds: found {seeds}; allowed: 1 to {MOST_SEEDS}")
    workers = _workers(workers)
    out = usable_folder("--out", str(out or Path("outputs", "reproduce", mode)))
    made = plan(choose(STUDIES, experiments or []), out, list(range(seeds)), mode)
    if listing:
        for job in made.jobs:
            state = "finished" if job.finished else "to do"
            console.print(f"{state:9} {job.line}", soft_wrap=True)
        return 0
    with locked(out), record_folder(kept):
        left_out = prepare(made.unfinished)
        failed = _run(made, left_out, workers, out)
        return _conclude(made, out, failed | left_out, mode, kept)


def _workers(given: int | None) -> int:
    workers = cores() if given is None else given
    if not 1 <= workers <= 1024:
        raise UsageError(f"--workers: found {workers}; allowed: 1 to 1024")
    return workers


def _write_page(folder: Path, alone: bool = True) -> int:
    from lipsort_cli.reproduction.record import write_page

    if not alone:
        raise UsageError(
            "--page: found together with other words; allowed: alone, because it runs nothing"
        )
    with folder_given_by("--page FOLDER"):
        results_line("Page", write_page(folder))
    return 0


def _size(*given: bool) -> str:
    from lipsort_cli.reproduction.sizes import MODES

    chosen = [name for name, wanted in zip(MODES, given, strict=True) if wanted]
    if len(chosen) > 1:
        raise UsageError(f"found --{' and --'.join(chosen)}; allowed: one of them")
    return (chosen or list(MODES))[0]


def _run(made: Plan, left_out: dict[Path, str], workers: int, out: Path) -> dict[Path, str]:
    """Do the jobs but those ``left_out``, with a progress bar; what failed, and why."""
    from lipsort_cli.reproduction.pool import run
    from lipsort_cli.training.progress import TrainingProgress

    todo = [job for job in made.unfinished if job.directory not in left_out]
    console.print(
        f"{plural(len(made.studies), 'experiment')}, {plural(len(made.jobs), 'job')}, "
        f"{len(made.jobs) - len(made.unfinished)} of them finished earlier; {workers} at a time; "
        f"into {out}",
        soft_wrap=True,
    )
    for reason in dict.fromkeys(left_out.values()):
        warn(f"{list(left_out.values()).count(reason)} jobs are left out: {reason}")
    failed: dict[Path, str] = {}
    done = 0
    with TrainingProgress(len(todo), unit="job", interval=15.0) as progress:

        def told(job: Job, answer: dict[str, Any]) -> None:
            nonlocal done
            done += 1
            if answer["status"] == "failed":
                failed[job.directory] = answer["error"]
                warn(f"{job.line}: {answer['error']} (log: {job.directory / 'log.txt'})")
            progress.milestone(done, f"{job.preset} {' '.join(job.arm.values())}")

        try:
            run(todo, workers, told)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"interrupted after {done} of {plural(len(todo), 'job')}; "
                f"the same command goes on from there: what has finished is kept in {out}"
            ) from error
    return failed


def _conclude(made: Plan, out: Path, failed: dict[Path, str], mode: str, kept: Path | None) -> int:
    from lipsort_cli.reproduction import record

    began = time.monotonic()
    findings: dict[int, Finding | str] = record.judged(made, out)
    found = record.write(made, findings, out, mode, failed)
    if kept is not None:
        with folder_given_by("--record FOLDER"):
            if record.keep(found, kept):
                _write_page(kept)
    _show(made, findings)
    words = [
        record.verdict(
            findings[study.number], sum(not job.finished for job in made.members[study.number])
        )
        for study in made.studies
    ]
    hold, fail, missing = map(words.count, (record.HOLDS, record.FAILS, record.MISSING))
    console.print(
        f"{plural(len(words), 'experiment')}: {hold} hold, {fail} fail, {missing} not measured"
        + (f"; {plural(len(failed), 'job')} failed" if failed else "")
        + f"; report written in {time.monotonic() - began:.0f} s"
    )
    results_line("Results", out, "report.html", "report.md", "jobs/")
    follow_up("lipsort", "report", out / "jobs")
    return 0 if hold == len(words) and not failed else 1


def _show(made: Plan, findings: dict[int, Finding | str]) -> None:
    """A claim a paragraph: tables of so many words fit no terminal."""
    from lipsort_cli.reproduction import record

    for study in made.studies:
        finding = findings[study.number]
        console.print(f"\n{study.number}. {study.title}", style="bold")
        if isinstance(finding, str) or not finding.checks:
            reason = finding if isinstance(finding, str) else "no job has finished"
            console.print(f"  not measured: {reason}")
            continue
        for check in finding.checks:
            console.print(f"  {check.verdict}, {check.side}: {check.claim}")
            console.print(f"    here: {check.measured}")
            console.print(f"    published: {check.published}")
            for verdict, words in check.words:
                if verdict != record.HOLDS:
                    console.print(f"    tested: {words}")
            if check.verdict == record.FAILS and check.reason:
                console.print(f"    reason: {check.reason}")
    console.print()
