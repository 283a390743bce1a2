"""``lipsort zoo``: everything that can be put together, with one line each."""

from __future__ import annotations

from typing import Annotated

from rich.markup import escape
from typer import Argument

from lipsort_cli.config import catalog
from lipsort_cli.errors import UsageError
from lipsort_cli.pages import page, table

TITLES = {
    "model": "Networks",
    "activation": "Activations",
    "constraint": "Constraints",
    "loss": "Losses",
    "optimizer": "Optimizers",
    "schedule": "Schedules",
    "data": "Data sets",
    "distribution": "Distributions",
    catalog.PRESETS: "Presets",
}
"""Headings; a group without one is shown under its own name, at the end."""


def groups() -> list[str]:
    """Groups in the order of the page."""
    names = catalog.group_names()
    return [g for g in TITLES if g in names] + [g for g in names if g not in TITLES]


def zoo(
    group: Annotated[
        str | None,
        Argument(metavar="[GROUP]", help="All if left out.", autocompletion=catalog.group_names),
    ] = None,
) -> int:
    """List networks, activations, constraints, data sets, presets.

    All that can be put together, one line each.
    """
    if group is not None and group not in groups():
        raise UsageError(f"group: found {group!r}; allowed: {', '.join(groups())}")
    out = page()
    for name in [group] if group else groups():
        rows = _rows(name)
        if not rows:
            continue
        out.print(f"\n[bold]{TITLES.get(name, name)}[/] [dim]{name}=OPTION[/]")
        out.print(table((name, escape(text)) for name, text in rows))
    return 0


def _rows(group: str) -> list[tuple[str, str]]:
    if group == catalog.PRESETS:
        return [(name, f"{text} [{launch}]") for name, launch, text in catalog.presets()]
    rows = []
    for option in catalog.group_options(group):
        text = catalog.describe_option(group, option)
        keys = ", ".join(key.name for key in catalog.option_keys(group, option))
        rows.append((option, text + (f" [{keys}]" if keys else "")))
    return rows
