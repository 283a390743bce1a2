"""The end of a sweep: what became of its jobs, wherever a launcher ran them, and their report."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from os.path import relpath
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from lipsort_cli.config.registry import Command
from lipsort_cli.console import command_line, follow_up, plural, results_line, warn
from lipsort_cli.errors import LipsortError
from lipsort_cli.processes import on_stop_signals
from lipsort_cli.runs import RECORD, read_record


class Farewell(Callback):
    """Hydra's callback: says where the jobs of a sweep lie and how they ended; compares them."""

    folder: Path | None = None
    """Where the sweep of this process lies that has begun, and not ended well yet."""
    jobs: ClassVar[dict[Path, str]] = {}
    """How the jobs of which this process heard have ended, ``finished`` or ``failed``, by folder.

    One that is refused leaves no record, and one of another configuration lies there already.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Know the folder, for :func:`broken_off`."""
        Farewell.folder = Path(str(config.hydra.sweep.dir))
        Farewell.jobs.clear()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print one line, and the report of the jobs that finished.

        Nothing where there are no records, and none that failed: jobs of other commands.
        """
        Farewell.folder = None
        farewell(Path(str(config.hydra.sweep.dir)))


def farewell(folder: Path) -> None:
    """The last words of the sweep in ``folder``: how its jobs ended, and which are not finished."""
    found = statuses(folder, Farewell.jobs)
    recorded = any(folder.glob(f"*/{RECORD}"))
    if not recorded and "failed" not in found.values():
        return
    counted = Counter(found.values()).most_common()
    listed = ", ".join(f"{count} {status}" for status, count in counted)
    unfinished = [name for name, status in found.items() if status != "finished"]
    results_line("Sweep", folder, f"{plural(len(found), 'job')}: {listed}")
    if unfinished:
        warn(f"not finished: {', '.join(f'{name} ({found[name]})' for name in unfinished)}")
    if recorded:
        _compare(folder)


def broken_off(failed: Path) -> None:
    """Say them where Hydra does not, because the job in ``failed`` did so in another process."""
    Farewell.jobs[failed] = "failed"
    if Farewell.folder is not None:
        folder, Farewell.folder = Farewell.folder, None
        farewell(folder)


def go_on(command: Command) -> str:
    """How the sweep that this process has begun is gone on with, behind other words."""
    if Farewell.folder is None or command.takes or command.many:
        return ""
    line = command_line("lipsort", command.name, "-m", ("resume", Farewell.folder))
    return f"; go on with `{line}`"


@contextlib.contextmanager
def left_on_a_signal(command: Command, launcher: str) -> Iterator[None]:
    """End this process at once on a signal to stop, where jobs run in other processes.

    They notice, and leave what can be resumed; a launcher that is interrupted would kill them.
    """
    if "BasicLauncher" in launcher:
        yield
        return

    def leave(*_: object) -> None:
        warn(f"interrupted: jobs that run leave a checkpoint after their step{go_on(command)}")
        os._exit(130)

    with on_stop_signals(leave):
        yield


def _compare(folder: Path) -> None:
    """`lipsort report` of the jobs under ``folder``; on a failure, why, and how to try again."""
    from lipsort_cli.reports.build import build_report

    out = folder / "report"
    try:
        report = build_report([folder], out, title="Jobs of a sweep")
    except LipsortError as error:
        warn(f"no report of this sweep: {error}")
        follow_up("lipsort", "report", folder)
        return
    if report.rows:
        report.show()
    results_line("Report", out, "report.html", "report.md", "report.json", "figures/")


def statuses(folder: Path, known: Mapping[Path, str]) -> dict[str, str]:
    """How each job of a sweep ended, by the name of its folder, in the order of the jobs.

    ``known``: how those in these folders did, as far as this process knows.
    """
    ended = {relpath(place, folder): status for place, status in known.items()}
    found = {
        path.name: "without a record"
        for path in folder.glob("*")
        if path.name.isdecimal() and path.is_dir()  # as Hydra numbers them
    }
    found |= ended
    for path in folder.glob(f"*/{RECORD}"):
        try:
            status = str(read_record(path.parent)["status"])
        except LipsortError:
            status = "with a damaged record"
        name = path.parent.name
        # What failed may have been refused because a run of another configuration lies there.
        found[name] = "failed" if ended.get(name) == "failed" else status
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))
