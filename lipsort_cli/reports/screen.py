"""A document on the terminal: tables are split until they fit, and no column is left out."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from lipsort_cli.reports.blocks import Document, Heading, Paragraph, Table


def show(document: Document, console: Console, width: int | None = None) -> None:
    """Print headings, paragraphs and tables at ``width`` columns (None: the console's own)."""
    columns = width or console.width
    for block in document.blocks:
        match block:
            case Heading():
                console.print()
                console.print(Text(block.text, style="bold"), width=columns)
            case Paragraph():
                console.print(Text(block.text), width=columns)
            case Table():
                for part in block.fitted(columns):
                    _table(part, console, columns)


def _table(table: Table, console: Console, width: int) -> None:
    title = Text(table.title) if table.title else None
    drawn = RichTable(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, cell in enumerate(table.header):
        drawn.add_column(
            Text(cell),
            justify="right" if table.aligned_right(index) else "left",
            vertical="top",
            overflow="fold",  # a cell that is too long goes on below, whole
        )
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn, width=width)
    if table.caption:
        console.print(Text(table.caption, style="dim"), width=width)
        console.print()
