"""From folders of runs to one report: on screen, as Markdown, as HTML, as JSON."""

from __future__ import annotations

import platform
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lipsort_cli.errors import UsageError
from lipsort_cli.files import write_atomic, write_error, write_json
from lipsort_cli.reports import columns as shown_columns
from lipsort_cli.reports.blocks import Block, Document, Heading, Paragraph, Table
from lipsort_cli.reports.columns import SPREADS, arrange, cell, check_names, choose, details, family
from lipsort_cli.reports.found import Broken, Run, collect
from lipsort_cli.reports.html import html
from lipsort_cli.reports.markdown import markdown
from lipsort_cli.reports.pictures import draw
from lipsort_cli.reports.rows import Comparison, Row, compare
from lipsort_cli.reports.screen import show

COMMANDS = ("train", "estimate-wasserstein", "wgan")
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

    def show(self, console: Console | None = None, width: int | None = None) -> None:
        """Print the tables; pictures are in the files."""
        if console is None:
            from lipsort_cli.console import console as own

            console = own
        show(self.document, console, width)


def build_report(
    directories: Sequence[str | Path],
    out: Path,
    *,
    title: str = "Runs compared",
    sort: str | None = None,
    group: Sequence[str] | None = None,
    pool: Sequence[str] = ("seed",),
    columns: Sequence[str] = (),
    spread: str = "deviation",
    pictures: bool = True,
    extra: Iterable[Block] = (),
    commands: Sequence[str] = COMMANDS,
) -> Report:
    """Compare all runs in or under ``directories``, and write the report into ``out``.

    Writes ``report.md``, ``report.html`` (one file, pictures inside), ``report.json`` and
    ``figures/*.png``. Runs that have no figures are listed with the reason.

    Args:
        directories: run folders, folders that hold runs at any depth, or patterns.
        out: folder of the report.
        title: its title.
        sort: a figure such as ``certified_accuracy.l2.1.58``, or a key that differs; best first,
            reversed by a leading ``-``.
        group: keys that make a row; None: runs that differ in nothing but ``pool`` are one.
        pool: keys in which the runs of a row may differ.
        columns: names or patterns of figures; none: all that matter.
        spread: ``deviation`` (the sample's) or ``half_range``.
        pictures: draw curves and bars; tables alone take no time.
        extra: blocks that come first.
        commands: whose runs are compared.

    Raises:
        UsageError: a folder or a name does not exist.
        LipsortError: a file cannot be written.
    """
    if spread not in SPREADS:
        raise UsageError(f"spread: found {spread!r}; allowed: {', '.join(SPREADS)}")
    runs, broken = collect(directories, commands)
    comparisons = [
        compare(command, own, group=group, pool=pool)
        for command in commands
        if (own := [run for run in runs if run.command == command])
    ]
    check_names(comparisons, sort, columns)
    out = Path(out)
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out / "figures", error) from error
    document = Document(title, [*extra, Paragraph(_summary(runs, broken))])
    for comparison in comparisons:
        document.blocks += _section(comparison, out, sort, columns, spread, pool, pictures)
    document.blocks += _not_counted(broken, comparisons)
    report = Report(comparisons, broken, document, out)
    write_json(out / "report.json", _json(report))
    write_atomic(out / "report.md", markdown(document, out))
    write_atomic(out / "report.html", html(document))
    return report


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _summary(runs: Sequence[Run], broken: Sequence[Broken]) -> str:
    text = f"{_plural(len(runs), 'finished run')}"
    if broken:
        text += f"; {_plural(len(broken), 'run')} without results, listed at the end"
    return f"{text}. {_where(runs)}".strip()


def _where(runs: Sequence[Run]) -> str:
    """Machine and versions, where they are the same for all runs, or that they differ."""
    if not runs:
        return ""
    words = []
    for what, values in (
        ("device", [run.record.get("device") for run in runs]),
        ("lipsort", [_version(run, "lipsort") for run in runs]),
        ("torch", [_version(run, "torch") for run in runs]),
    ):
        found = sorted({str(value) for value in values if value is not None})
        if found:
            words.append(f"{what} {', '.join(found)}" + (" (not the same)" if found[1:] else ""))
    hosts = {run.record.get("host") for run in runs}
    if hosts == {socket.gethostname()}:
        words.append(_processor())
    elif len(hosts) > 1:
        words.append(f"{len(hosts)} machines")
    return f"Run on: {'; '.join(word for word in words if word)}."


def _version(run: Run, name: str) -> Any:
    versions = run.record.get("versions")
    return versions.get(name) if isinstance(versions, dict) else None


def _processor() -> str:
    """The name of this machine's processor, with the number of cores."""
    import os

    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{name}, {_plural(os.cpu_count() or 1, 'core')}"


def _section(
    comparison: Comparison,
    out: Path,
    sort: str | None,
    wanted: Sequence[str],
    spread: str,
    pool: Sequence[str],
    pictures: bool,
) -> Iterator[Block]:
    known = {c[0] for c in comparison.columns} | {
        k for row in comparison.rows for k in row.settings
    }
    asked = sort if sort is not None and sort.removeprefix("-") in known else None
    said, column = arrange(comparison, asked)
    count = sum(len(row.runs) for row in comparison.rows)
    yield Heading(
        f"lipsort {comparison.command}: {_plural(count, 'run')} in "
        f"{_plural(len(comparison.rows), 'row')}"
    )
    yield _main_table(comparison, said, choose(comparison, wanted, asked), spread, pool)
    if pictures:
        yield from draw(comparison, out / "figures", column)
    yield _run_table(comparison)


def _main_table(
    comparison: Comparison,
    said: str,
    chosen: Sequence[tuple[str, str, str]],
    spread: str,
    pool: Sequence[str],
) -> Table:
    names = [column[0] for column in chosen]
    settings = list(comparison.rows[0].settings)
    headings = [
        shown_columns.heading(column, ambiguous=names.count(column[0]) > 1) for column in chosen
    ]
    rows = []
    for number, row in enumerate(comparison.rows, start=1):
        cells = [cell(column, row, spread) for column in chosen]
        rows.append([str(number), *row.settings.values(), str(len(row.runs)), *cells])
    header = ["#", *settings, "runs", *headings]
    left = set(range(1 + len(settings)))
    notes = [said]
    if any(len(row.runs) > 1 for row in comparison.rows):
        over = ", ".join(pool) or "runs"
        notes.append(
            f"Mean over {over} \N{PLUS-MINUS SIGN} {SPREADS[spread]}; means of proven figures are "
            "rounded to the safe side."
        )
    if detail := details(chosen):
        notes.append(f"Figures are of: {detail}.")
    if common := _common(comparison):
        notes.append(f"The same in all rows: {common}.")
    missing = [family(c[0]) for c in comparison.columns if c[0] not in names]
    if missing:
        notes.append(f"Not shown (see columns): {', '.join(dict.fromkeys(missing))}.")
    return Table("Results", header, rows, " ".join(n for n in notes if n), 1,
                 frozenset(i for i in range(len(header)) if i not in left))  # fmt: skip


def _common(comparison: Comparison) -> str:
    """The choices of groups that no row differs in."""
    runs = [run for row in comparison.rows for run in row.runs]
    found = []
    for key in runs[0].config:
        group, _, last = key.rpartition(".")
        values = {str(run.config.get(key)) for run in runs}
        if last == "name" and "." not in group and len(values) == 1:
            found.append(f"{group} {values.pop()}")
    return ", ".join(found)


def _run_table(comparison: Comparison) -> Table:
    rows = [
        [
            str(number),
            str(run.seed),
            str(run.record.get("start", ""))[:16].replace("T", " "),
            f"{float(run.record.get('seconds', 0)):,.1f}",
            _shortest(run.directory),
        ]
        for number, row in enumerate(comparison.rows, start=1)
        for run in row.runs
    ]
    caption = ""
    if comparison.repeated:
        again = ", ".join(_shortest(run.directory) for run in comparison.repeated)
        caption = f"Not counted, since a newer run has the same configuration and seed: {again}."
    return Table("Runs by row of the table", ["#", "seed", "start (UTC)", "seconds", "directory"],
                 rows, caption, 1, frozenset({3}))  # fmt: skip


def _not_counted(broken: Sequence[Broken], comparisons: Sequence[Comparison]) -> Iterator[Block]:
    if not broken:
        return
    yield Heading("Runs without results")
    rows = [[one.command, one.status, _shortest(one.directory), one.reason] for one in broken]
    yield Table("", ["command", "status", "directory", "reason"], rows, "", 1, frozenset())


def _shortest(directory: Path) -> str:
    """A path relative to the current folder where it lies below it."""
    try:
        return str(directory.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(directory)


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
        "without_results": [
            {
                "directory": str(one.directory),
                "command": one.command,
                "status": one.status,
                "reason": one.reason,
            }
            for one in report.broken
        ],
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
