"""A document as Markdown (GitHub's tables)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from lipsort_cli.console import printable
from lipsort_cli.reports.blocks import Block, Document, Heading, Paragraph, Picture, Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def _text(text: str) -> str:
    """Text in which nothing is markup; underscores inside words stay readable."""
    escaped = _SPECIAL.sub(r"\\\1", printable(" ".join(text.split())))
    return re.sub(r"(?<=\w)\\_(?=\w)", "_", escaped)


def markdown(document: Document, folder: Path) -> str:
    """The text of a file in ``folder``; pictures are linked relative to it."""
    parts = [f"# {_text(document.title)}"]
    parts += [_block(block, folder) for block in document.drawn()]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, folder: Path) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_text(block.text)}"
        case Paragraph():
            return _text(block.text)
        case Picture():
            link = quote(os.path.relpath(block.path, folder))
            alternative = block.path.stem.replace("_", " ")
            return f"![{_text(alternative)}]({link})\n\n*{_text(block.caption)}*"
        case Table():
            return markdown_table(block)


def markdown_table(table: Table) -> str:
    """A table with its title before and its caption after it."""
    rule = ["---:" if table.aligned_right(i) else "---" for i in range(len(table.header))]
    lines = [f"**{_text(table.title)}**", ""] if table.title else []
    for cells in ([_text(cell) for cell in table.header], rule):
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"| {' | '.join(_text(cell) for cell in row)} |" for row in table.rows]
    if table.caption:
        lines += ["", _text(table.caption)]
    return "\n".join(lines)
