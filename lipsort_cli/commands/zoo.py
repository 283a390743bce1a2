"""``lipsort zoo``: everything that can be put together, with one line each."""

from __future__ import annotations

from rich.console import Console

from lipsort_cli.cli.pages import page
from lipsort_cli.config import catalog
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.errors import UsageError

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


def main(arguments: list[str]) -> int:
    """``lipsort zoo [GROUP]``: list everything, or one group."""
    if any(text in ("--help", "-h") for text in arguments):
        out = page()
        out.print("Usage: lipsort zoo [GROUP]\n", markup=False)
        out.print("Lists what can be put together, one line each; GROUP is one of")
        out.print(f"{', '.join(groups())}.")
        return 0
    if len(arguments) > 1:
        raise UsageError(f"found {' '.join(arguments)}; allowed: one group, or none for all")
    show(arguments[0] if arguments else None)
    return 0


def show(group: str | None = None) -> None:
    """Print all groups, or one of them.

    Raises:
        UsageError: there is no such group.
    """
    if group is not None and group not in groups():
        raise UsageError(f"group: found {group!r}; allowed: {', '.join(groups())}")
    out = page()
    for name in [group] if group else groups():
        rows = _rows(name)
        if not rows:
            continue
        out.print(f"\n[bold]{TITLES.get(name, name)}[/] [dim]{name}=OPTION[/]")
        _print(out, rows)


def _rows(group: str) -> list[tuple[str, str]]:
    if group == catalog.PRESETS:
        return [(name, f"{text} [{launch}]") for name, launch, text in catalog.presets()]
    rows = []
    for option in catalog.group_options(group):
        text = catalog.describe_option(group, option)
        schema = GROUPS.get(group, {}).get(option)
        keys = [k.name for k in catalog.group_keys(group, option) if _belongs(k, option)]
        rows.append((option, text + (f" [{', '.join(keys)}]" if schema and keys else "")))
    return rows


def _belongs(key: catalog.Key, option: str) -> bool:
    return not key.options or option in key.options


def _print(out: Console, rows: list[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(f"  {name}", Text(text))
    out.print(table)
