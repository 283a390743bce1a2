"""From folders of runs to one report: on screen, as Markdown, as HTML, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lipsort_cli.config.report import ReportConfig
from lipsort_cli.config.validate import out_of_range
from lipsort_cli.console import console as own
from lipsort_cli.errors import UsageError
from lipsort_cli.files import make_folder, write_atomic, write_json
from lipsort_cli.reports.blocks import Block, Document, Paragraph
from lipsort_cli.reports.columns import check_names
from lipsort_cli.reports.found import Broken, collect
from lipsort_cli.reports.html import html
from lipsort_cli.reports.markdown import markdown
from lipsort_cli.reports.rows import Comparison, Row, compare
from lipsort_cli.reports.screen import show
from lipsort_cli.reports.sections import not_counted, section, summary

COMMANDS = ("train", "estimate-wasserstein", "wgan", "import")
"""Commands whose runs have figures of their own."""


@dataclass
class Report:
    """What was found, and the document that says it."""

    comparisons: list[Comparison]
    broken: list[Broken]
    document: Document
    folder: Path

    @property
    def rows(self) -> list[Row]:
        """The rows of all commands, as they are sorted."""
        return [row for comparison in self.comparisons for row in comparison.rows]

    def show(self, console: Console = own, width: int | None = None) -> None:
        """Print the tables; pictures are in the files."""
        show(self.document, console, width)


def build_report(
    directories: Sequence[str | Path],
    out: Path,
    *,
    extra: Iterable[Block] = (),
    commands: Sequence[str] = COMMANDS,
    **options: Any,
) -> Report:
    """Compare all runs in or under ``directories`` or patterns, and write a report into ``out``.

    Writes ``report.md``, ``report.html`` (one file, pictures inside), ``report.json`` and
    ``figures/*.png``. Runs that have no figures are listed with the reason. ``extra`` blocks come
    first; ``options``: as :class:`~lipsort_cli.config.report.ReportConfig` has them.

    Raises:
        UsageError: a folder or a name does not exist.
        LipsortError: a file cannot be written.
    """
    config = ReportConfig(runs=[*map(str, directories)], **options)
    for fault in out_of_range(config):
        raise UsageError(fault)
    runs, broken = collect(directories, commands)
    comparisons = [
        compare(command, own, group=config.group, pool=config.pool)
        for command in commands
        if (own := [run for run in runs if run.command == command])
    ]
    check_names(comparisons, config.sort, config.columns)
    out = Path(out)
    make_folder(out / "figures")
    document = Document(config.title, [*extra, Paragraph(summary(runs, broken))])
    for comparison in comparisons:
        document.blocks += section(comparison, out, config)
    document.blocks += not_counted(broken)
    report = Report(comparisons, broken, document, out)
    write_json(out / "report.json", _json(report))
    write_atomic(out / "report.md", markdown(document, out))
    write_atomic(out / "report.html", html(document))
    return report


def _json(report: Report) -> dict[str, Any]:
    return {
        "commands": [
            {
                "command": comparison.command,
                "rows": [_row_json(row) for row in comparison.rows],
                "repeated": [str(run.directory) for run in comparison.repeated],
            }
            for comparison in report.comparisons
        ],
        "without_results": [vars(one) | {"directory": str(one.directory)} for one in report.broken],
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "settings": row.settings,
        "seeds": [run.seed for run in row.runs],
        "directories": [str(run.directory) for run in row.runs],
        "figures": [
            {
                "name": name,
                "evidence": evidence,
                "detail": detail,
                "mean": spread.mean,
                "deviation": spread.deviation,
                "half_range": spread.half_range,
                "values": list(spread.values),
            }
            for (name, evidence, detail), spread in row.figures.items()
        ],
    }
