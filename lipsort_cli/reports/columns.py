"""Columns of a table: which are shown, what stands above them, and how rows are sorted by them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from lipsort_cli.errors import UsageError
from lipsort_cli.reports.rows import Comparison, Row
from lipsort_cli.reports.values import COUNT, GIVEN, Column, is_share, lower_is_better, shown

SPREADS = {"deviation": "standard deviation", "half_range": "half the range"}
_SECONDARY = (
    *("certified_value", "dual_correlation", "transport_width", "parameters*"),
    *("steps", "critic_steps", "seconds"),
    *("certificate.*", "inspect.*", "attack.*"),
)
"""Figures that are left out of tables unless ``columns`` asks for them; the caption names them."""
_BY_RADIUS = re.compile(r"(.+)\.(l2|linf|l1)\.([^a-z]+)$")


def family(name: str) -> str:
    """What figures at different radii have in common: ``certified_accuracy.l2``."""
    match = _BY_RADIUS.match(name)
    return f"{match[1]}.{match[2]}" if match else name


def find_column(columns: Sequence[Column], name: str) -> Column | None:
    """The first column of that name."""
    return next((column for column in columns if column[0] == name), None)


def choose(comparison: Comparison, wanted: Sequence[str], sort: str | None) -> list[Column]:
    """The columns of a table: those that match ``wanted``, or all that matter if it is empty."""
    everything = comparison.columns
    asked = [c for pattern in wanted for c in everything if fnmatchcase(c[0], pattern)]
    if asked:  # a report of several commands may ask for the figures of one of them only
        return list(dict.fromkeys(asked))
    first = [c for c in everything if not any(fnmatchcase(c[0], p) for p in _SECONDARY)]
    own = (sort or "").lstrip("-")
    first += [c for c in everything if c[0] == own and c not in first]
    # Figures of one kind stand together, also those that only some of the runs have.
    kinds = list(dict.fromkeys((family(c[0]), *c[1:]) for c in first))
    families = list(dict.fromkeys(family(c[0]) for c in first))
    return sorted(
        first, key=lambda c: (families.index(family(c[0])), kinds.index((family(c[0]), *c[1:])))
    )


def heading(column: Column, *, ambiguous: bool) -> str:
    """What stands above a column, in lines: its name, and in brackets the evidence."""
    name, evidence, detail = column
    percent = "%, " if is_share(name) else ""
    words = name.replace("_accuracy", "").replace("_", " ")
    match = _BY_RADIUS.match(words)
    lines = [f"{match[1]}", f"{match[2]} {match[3]}"] if match else [words]
    if "." in lines[0]:
        lines[:1] = lines[0].rsplit(".", 1)
    if ambiguous and detail:
        lines += detail.split(", ")
    return "\n".join([*lines, f"({percent}{evidence})"])


def cell(column: Column, row: Row, spread: str) -> str:
    """Mean and spread of a row's figure; a dash where none of its runs has it."""
    found = row.figures.get(column)
    if found is None:
        return "-"
    name, evidence, _ = column
    width = found.deviation if spread == "deviation" else found.half_range
    text = shown(name, found.mean, evidence, _digits(found.mean, width, evidence))
    if len(found.values) > 1 and (width > 0 or evidence not in (COUNT, GIVEN)):
        text += " \N{PLUS-MINUS SIGN} " + (
            f"{100 * width:.2f}" if is_share(name) else f"{width:.2g}"
        )
    if len(found.values) < len(row.runs):
        text += f" (n={len(found.values)})"
    return text


def _digits(mean: float, width: float, evidence: str) -> int:
    """Significant digits of a mean that its spread leaves a meaning."""
    if width <= 0 or mean == 0:
        return 8 if evidence == "proven" else 6
    return min(max(math.ceil(math.log10(abs(mean) / width)) + 2, 3), 9)


def details(columns: Sequence[Column]) -> str:
    """What the figures hold for, once for all columns that share it."""
    found = dict.fromkeys((family(name), detail) for name, _, detail in columns if detail)
    return "; ".join(f"{name}: {detail}" for name, detail in found)


def default_sort(comparison: Comparison) -> str | None:
    """What rows are sorted by where nobody asks: the certificate at the largest radius, or so.

    The largest at which there is something to be seen: where all have 0, their order says nothing.
    """
    columns = comparison.columns
    certified = [c for c in columns if c[0].startswith("certified_accuracy.")]
    seen = {c for row in comparison.rows for c in certified if c in row.figures
            and row.figures[c].mean > 0}  # fmt: skip
    if certified:
        names = [c[0] for c in certified if c in seen or not seen]
        return max(names, key=lambda name: float(_BY_RADIUS.sub(r"\3", name)))
    for name in ("lower_bound", "clean_accuracy"):
        if find_column(columns, name):
            return name
    return columns[0][0] if columns else None


def best_first(rows: Sequence[Row], column: Column, *, reverse: bool = False) -> list[Row]:
    """Rows by the mean of a figure, best first; those without it last, in their order."""
    having = [row for row in rows if column in row.figures]
    descending = lower_is_better(column[0]) is reverse
    having.sort(key=lambda row: row.figures[column].mean, reverse=descending)
    return having + [row for row in rows if column not in row.figures]


def arrange(comparison: Comparison, sort: str | None) -> tuple[str, Column | None]:
    """Sort the rows in place; what to say about it, and the column it went by.

    ``sort`` is a figure's name or a key in which rows differ; a leading ``-`` reverses the order.
    """
    name = sort or default_sort(comparison)
    if name is None:
        return "", None
    reverse, name = name.startswith("-"), name.removeprefix("-")
    column = find_column(comparison.columns, name)
    if column is not None:
        comparison.rows[:] = best_first(comparison.rows, column, reverse=reverse)
        down = lower_is_better(name) is reverse
        return f"Sorted by {name}, {'highest' if down else 'lowest'} first.", column
    key = name.removesuffix(".name")
    comparison.rows.sort(key=lambda row: _natural(row.settings.get(key, "")), reverse=reverse)
    return f"Sorted by {key}.", None


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), "")
    except ValueError:
        return (1, 0.0, text)


def check_names(
    comparisons: Sequence[Comparison], sort: str | None, columns: Sequence[str]
) -> None:
    """Refuse names that no run has.

    Raises:
        UsageError: with the names that there are.
    """
    figures = list(dict.fromkeys(c[0] for one in comparisons for c in one.columns))
    settings = list(
        dict.fromkeys(k for one in comparisons for row in one.rows for k in row.settings)
    )
    if sort is not None:
        name = sort.removeprefix("-")
        if name not in figures and name.removesuffix(".name") not in settings:
            raise _unknown("sort", name, figures + settings)
    for pattern in columns:
        if not any(fnmatchcase(name, pattern) for name in figures):
            raise _unknown("columns", pattern, figures)


def _unknown(key: str, found: str, allowed: Sequence[str]) -> UsageError:
    near = get_close_matches(found, allowed, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return UsageError(f"{key}: found {found!r}; allowed: {', '.join(allowed)}{hint}")
