"""`lipsort report RUN...`: compares runs and sweeps, on screen, as Markdown and as HTML."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.config.report import ReportConfig
from lipsort_cli.console import follow_up, results_line
from lipsort_cli.reports.build import build_report


def run(config: ReportConfig, directory: Path) -> None:
    """Compare ``config.runs``; writes the report into ``directory`` and its tables on screen."""
    options = {key: value for key, value in vars(config).items() if key != "runs"}
    report = build_report(config.runs, directory, **options)
    report.show()
    results_line("Report", directory, "report.html", "report.md", "report.json", "figures/")
    if best := next((row.runs[0] for row in report.rows), None):
        follow_up("lipsort", "inspect", best.directory)
