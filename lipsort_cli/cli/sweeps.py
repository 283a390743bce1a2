"""The end of a sweep: what became of its jobs, wherever a launcher ran them, and their report."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from lipsort_cli.console import follow_up, results_line, warn
from lipsort_cli.errors import LipsortError
from lipsort_cli.runs import RECORD, read_record


class Farewell(Callback):
    """Hydra's callback: says where the jobs of a sweep lie and how they ended; compares them."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print one line, and the report of the jobs that finished; nothing without records."""
        folder = Path(str(config.hydra.sweep.dir))
        found = statuses(folder)
        if found:
            listed = ", ".join(f"{count} {status}" for status, count in found.items())
            results_line("Sweep", folder, f"{sum(found.values())} jobs: {listed}")
            _compare(folder)


def _compare(folder: Path) -> None:
    """`lipsort report` of the jobs under ``folder``; on a failure, why, and how to try again."""
    from lipsort_cli.reports import build_report

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


def statuses(folder: Path) -> dict[str, int]:
    """How many jobs of a sweep ended in each way, the most frequent first."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob(f"*/{RECORD}")):
        with contextlib.suppress(LipsortError):
            found[str(read_record(path.parent)["status"])] += 1
    return dict(found.most_common())
