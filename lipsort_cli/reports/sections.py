"""The parts of a report: what was run where, a section for each command, and what is missing."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lipsort_cli.config.report import ReportConfig
from lipsort_cli.console import located, plural
from lipsort_cli.reports import columns as shown_columns
from lipsort_cli.reports.blocks import Block, Heading, Table
from lipsort_cli.reports.columns import SPREADS, arrange, cell, choose, details, family
from lipsort_cli.reports.found import Broken, Run
from lipsort_cli.reports.pictures import draw
from lipsort_cli.reports.rows import Comparison
from lipsort_cli.reports.values import Column
from lipsort_cli.versions import processor

_PAGE = 160
"""Characters that go beside each other on a page."""


def summary(runs: Sequence[Run], broken: Sequence[Broken]) -> str:
    """How many runs there are, how many without results, and what they ran on."""
    text = f"{plural(len(runs), 'finished run')}"
    if broken:
        text += f"; {plural(len(broken), 'run')} without results, listed at the end"
    bare = sum("results" not in run.record for run in runs)
    if bare:
        text += (
            f"; {bare} of {len(runs)} recorded no SHA-256 of results.json, so nothing says whether "
            "these figures were changed since"
        )
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
        words.append(processor())
    elif len(hosts) > 1:
        words.append(plural(len(hosts), "machine"))
    return f"Run on: {'; '.join(word for word in words if word)}."


def _version(run: Run, name: str) -> Any:
    versions = run.record.get("versions")
    return versions.get(name) if isinstance(versions, dict) else None


def section(comparison: Comparison, out: Path, config: ReportConfig) -> Iterator[Block]:
    """Heading, table, pictures and list of the runs of one command."""
    sort = config.sort
    known = {c[0] for c in comparison.columns} | {
        k for row in comparison.rows for k in row.settings
    }
    asked = sort if sort is not None and sort.removeprefix("-") in known else None
    said, column = arrange(comparison, asked)
    count = sum(len(row.runs) for row in comparison.rows)
    yield Heading(
        f"lipsort {comparison.command}: {plural(count, 'run')} in "
        f"{plural(len(comparison.rows), 'row')}"
    )
    yield _main_table(comparison, said, choose(comparison, config.columns, asked), config)
    if config.pictures:
        yield from draw(comparison, out / "figures", column)
    yield _run_table(comparison)


def _main_table(
    comparison: Comparison, said: str, chosen: Sequence[Column], config: ReportConfig
) -> Table:
    names = [column[0] for column in chosen]
    settings = list(comparison.rows[0].settings)
    headings = [
        shown_columns.heading(column, ambiguous=names.count(column[0]) > 1) for column in chosen
    ]
    rows = []
    for number, row in enumerate(comparison.rows, start=1):
        cells = [cell(column, row, config.spread) for column in chosen]
        rows.append([str(number), *row.settings.values(), str(len(row.runs)), *cells])
    header = ["#", *settings, "runs", *headings]
    right = frozenset(range(1 + len(settings), len(header)))
    notes = [said]
    if any(len(row.runs) > 1 for row in comparison.rows):
        notes.append(
            f"Mean over runs that differ only in {', '.join(comparison.pooled)} "
            f"\N{PLUS-MINUS SIGN} {SPREADS[config.spread]}; means of proven figures are rounded to "
            "the safe side."
        )
        if any(column[1].startswith("confidence") for column in chosen):
            notes.append("A confidence bound holds for its run; a mean of several has none.")
    if detail := details(chosen):
        notes.append(f"Figures are of: {detail}.")
    if common := _common(comparison):
        notes.append(f"The same in all rows: {common}.")
    missing = [family(c[0]) for c in comparison.columns if c[0] not in names]
    if missing:
        notes.append(f"Not shown (see columns): {', '.join(dict.fromkeys(missing))}.")
    table = Table("Results", header, rows, " ".join(filter(None, notes)), 1, right)
    return table.turned(_PAGE)


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
            f"{run.record.get('seconds', 0.0):,.1f}",
            located(run.directory),
        ]
        for number, row in enumerate(comparison.rows, start=1)
        for run in row.runs
    ]
    caption = ""
    if comparison.repeated:
        again = ", ".join(located(run.directory) for run in comparison.repeated)
        caption = f"Not counted, since a newer run has the same configuration and seed: {again}."
    return Table("Runs by their number", ["#", "seed", "start (UTC)", "seconds", "directory"],
                 rows, caption, 1, frozenset({3}))  # fmt: skip


def not_counted(broken: Sequence[Broken]) -> Iterator[Block]:
    """The runs that have no results, with the reason; nothing where there are none."""
    if not broken:
        return
    yield Heading("Runs without results")
    rows = [[one.command, one.status, located(one.directory), one.reason] for one in broken]
    yield Table("", ["command", "status", "directory", "reason"], rows, "", 1, frozenset())
