"""How help pages look.

Rich's tables are drawn directly: Typer's own help renderer would import Markdown and traceback
machinery that a page of text does not need.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table


def page() -> Console:
    """A console for pages: at most 100 columns wide.

    Where there is no terminal, as many as ``COLUMNS`` says, 80 if it says nothing.
    """
    console = Console(highlight=False)
    columns = os.environ.get("COLUMNS", "")
    if not console.is_terminal and not (columns.isdecimal() and int(columns) > 0):
        return Console(highlight=False, width=80)
    return Console(highlight=False, width=min(console.width, 100))


def table(
    rows: Iterable[tuple[str, ...]], *, styles: tuple[str, ...] = ("cyan",), indent: int = 2
) -> Padding:
    """Rows in columns, the first of which is never broken."""
    content = list(rows)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for index in range(max(map(len, content), default=0)):
        style = styles[index] if index < len(styles) else ""
        grid.add_column(style=style, no_wrap=index == 0, overflow="fold")
    for row in content:
        grid.add_row(*row)
    return Padding(grid, (0, 0, 0, indent), expand=False)
