"""What a report is made of, whatever it is shown on: headings, paragraphs, tables, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_GAP = 3
"""Characters that are counted for each column of a table beside its text."""


@dataclass(frozen=True)
class Heading:
    """A heading; ``level`` 1 is the title of the document."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of text under a header, whose cells may have several lines.

    The first ``keys`` columns name a row: they are repeated wherever the table has to be split.
    ``right`` are the columns that are aligned to the right; None: all but the names.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    keys: int = 1
    right: frozenset[int] | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"{self.title}: {len(row)} cells under {len(self.header)} columns")

    def aligned_right(self, column: int) -> bool:
        """Whether a column's cells stand at its right end."""
        return column >= self.keys if self.right is None else column in self.right

    def width(self, column: int) -> int:
        """Characters of the widest line of a column."""
        cells = [self.header[column], *(row[column] for row in self.rows)]
        return max((len(line) for cell in cells for line in cell.split("\n")), default=0)

    def fitted(self, width: int) -> list[Table]:
        """This table as tables of at most ``width`` characters, no column left out.

        A column that is too wide even beside the names alone gets a table of its own, whose cells
        must be wrapped.
        """
        names = list(range(min(self.keys, len(self.header))))
        base = 1 + sum(self.width(column) + _GAP for column in names)
        parts: list[list[int]] = []
        used = width + 1
        for column in range(len(names), len(self.header)):
            need = self.width(column) + _GAP
            if used + need > width:
                parts.append([])
                used = base
            parts[-1].append(column)
            used += need
        parts = parts or [[]]
        return [self._part(names + columns, number, parts) for number, columns in enumerate(parts)]

    def turned(self, limit: int) -> Table:
        """This table with a line for each column, if only so it is at most ``limit`` wide.

        What few rows have many figures of is read downwards; many rows are compared in columns.
        """
        columns = range(len(self.header))
        heads = [" ".join(cell.split("\n")) for cell in self.header]
        names = [" ".join(row[: self.keys]) for row in self.rows]
        turned = Table(
            self.title,
            [" ".join(heads[: self.keys]), *names],
            [[heads[i], *(row[i] for row in self.rows)] for i in columns[self.keys :]],
            self.caption,
        )
        wide, narrow = (
            sum(table.width(i) + _GAP for i in range(len(table.header))) for table in (self, turned)
        )
        return turned if narrow <= limit < wide else self

    def _part(self, columns: list[int], number: int, parts: list[list[int]]) -> Table:
        many = len(parts) > 1
        return Table(
            self.title + (f" ({number + 1} of {len(parts)})" if many else ""),
            [self.header[column] for column in columns],
            [[row[column] for column in columns] for row in self.rows],
            self.caption if number == len(parts) - 1 else "",
            self.keys,
            frozenset(i for i, column in enumerate(columns) if self.aligned_right(column)),
        )


@dataclass(frozen=True)
class Picture:
    """A PNG file, with what there is to see on it."""

    path: Path
    caption: str


Block = Heading | Paragraph | Table | Picture


@dataclass
class Document:
    """Blocks in the order in which they are read."""

    title: str
    blocks: list[Block] = field(default_factory=list)

    def drawn(self) -> list[Block]:
        """The blocks without the pictures that could not be drawn."""
        return [b for b in self.blocks if not isinstance(b, Picture) or b.path.is_file()]
