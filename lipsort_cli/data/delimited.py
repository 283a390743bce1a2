"""Text tables: delimiter, decimal sign, header, comments and index, settled before pyarrow parses.

What a file leaves open is settled by what its first lines say; a file that can be read in two ways
is refused, with the option that says which.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from lipsort_cli.config.data import TableOptions
from lipsort_cli.errors import UsageError, first_line

_LONGEST = 2**23
"""Characters of a line, and..."""
_MOST_COLUMNS = 2**18
"""... columns of a text table."""
_LOOK = 200
"""Lines that delimiter and decimal sign are found in."""


@dataclass(frozen=True)
class Options:
    """How a table is to be read; ``key`` is the group of the options, for messages.

    ``header`` is ``auto``, or says that a text file's first line holds ``names`` or ``values``;
    ``decimal`` is ``auto``, ``point`` or ``comma``. ``columns`` chooses and orders columns by name
    (by number, from 1, where they have none).

    ``gaps`` is ``refuse`` or ``drop``.
    """

    key: str = "data"
    columns: tuple[str, ...] | None = None
    gaps: str = "refuse"
    header: str = "auto"
    decimal: str = "auto"

    @classmethod
    def of(cls, config: TableOptions | None, key: str) -> Options:
        """Those of a node of the configuration; None: as they are where nothing is said."""
        if config is None:
            return cls(key)
        columns = None if config.columns is None else tuple(config.columns)
        return cls(key, columns, config.gaps, config.header, config.decimal)


@dataclass(frozen=True)
class Layout:
    """How a text table is laid out: what its first lines say, or the options.

    ``names`` are those of all columns, numbers from 1 where the file has none; ``kept`` the
    positions of those that are no index. ``delimiter`` is None for blanks; ``skip`` counts the
    lines of names.
    """

    path: Path
    names: tuple[str, ...]
    named: bool
    kept: tuple[int, ...]
    delimiter: str | None
    decimal: str
    skip: int
    notes: tuple[str, ...]

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines of values, with their numbers."""
        return islice(_lines(self.path), self.skip, None)

    def line(self, row: int) -> str:
        """Where row ``row`` (from 0) is, in words."""
        return f"line {next(islice(self.lines(), row, None))[0]}"

    def batches(self, columns: Sequence[int]) -> Iterator[list[Any]]:
        """Arrays of text of the ``columns`` (positions among ``kept``), batch by batch."""
        chosen = [self.kept[j] for j in columns]
        return _batches(self.path, self.lines, chosen, len(self.names), self.delimiter)


def few(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def read_layout(path: Path, options: Options) -> Layout:
    """Find out how the text table in ``path`` is laid out.

    Raises:
        UsageError: it can be read in two ways; the message names the option that settles it.
    """
    look = [line for _, line in islice(_lines(path), _LOOK)]
    delimiter = _delimiter(look)
    if look and look[0].count(delimiter or " ") > _MOST_COLUMNS:
        raise UsageError(
            f"{path}: found more than {_MOST_COLUMNS:,} columns; save the numbers as .npy"
        )
    rows = [_fields(line, delimiter) for line in look]
    decimal = _decimal(path, rows, delimiter, options)
    if decimal == "," and delimiter == "," and not any('"' in line for line in look):
        delimiter, rows = None, [[line.strip()] for line in look]  # one column of 0,5
    head = _header(path, rows, decimal, options)
    if head and rows[1:] and {len(row) for row in rows[1:]} == {len(rows[0]) + 1}:
        rows[0] = ["", *rows[0]]  # R names no column of row names
    width = len(rows[0]) if rows else 1
    names = rows[0] if head else next(
        (n for n in (_fields(c, delimiter) for c in _comments(path))
         if len(n) == width and not any(_is_number(name, ".") for name in n)), None
    )  # fmt: skip
    if decimal == "." and not head and options.decimal == "auto":
        _refuse_split_decimals(path, rows, delimiter, options)
    named = names is not None
    called = [name.strip() for name in names] if names else [str(j + 1) for j in range(width)]
    skipped, notes = _index(path, called, rows[1 if head else 0 :], options)
    for j, name in enumerate(called):
        if not name and j not in skipped:
            raise UsageError(f"{path}: column {j + 1} has no name; give it one")
    kept = [j for j in range(width) if j not in skipped]

    return Layout(
        path, tuple(called), named, tuple(kept), delimiter, decimal, 1 if head else 0, notes
    )


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _all_lines(path: Path) -> Iterator[tuple[int, str]]:
    """All lines but empty ones, with their numbers."""
    with path.open(encoding=_encoding(path)) as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST), ""), 1):
            if len(line) == _LONGEST:
                raise UsageError(
                    f"{path}, line {number}: found more than {_LONGEST:,} characters in one line: "
                    "no table"
                )
            if line.strip():
                yield number, line.rstrip("\n")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold values, with their numbers."""
    return (found for found in _all_lines(path) if not found[1].lstrip().startswith("#"))


def _comments(path: Path) -> Iterator[str]:
    """Comment lines before the first values."""
    for _, line in _all_lines(path):
        if not line.lstrip().startswith("#"):
            return
        yield line.lstrip().lstrip("#").strip()


def _delimiter(look: list[str]) -> str | None:
    """Tab, semicolon or comma, as the first line has it outside of quotes; None for blanks."""
    first = re.sub(r'"[^"]*"', '""', look[0]) if look else ""
    for sign in ("\t", ";"):
        if sign in first:
            return sign
    words = first.split()
    european = len(words) > 1 and all(re.fullmatch(r"[+-]?\d+,\d+", word) for word in words)
    return "," if "," in first and not european else None


def _fields(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        quoted = next(csv.reader([line], delimiter=" ", skipinitialspace=True))
        return [field for field in quoted if field.strip()] if '"' in line else line.split()
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]


def _is_number(text: str, decimal: str) -> bool:
    text = text.strip()
    if decimal == ",":
        text = text.replace(".", "x").replace(",", ".")
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def _decimal(path: Path, rows: list[list[str]], delimiter: str | None, options: Options) -> str:
    """The decimal sign: a comma where fields hold one, and no point."""
    if options.decimal != "auto":
        return {"comma": ",", "point": "."}[options.decimal]
    commas = [f for row in rows for f in row if re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", f)]
    if not commas:
        return "."
    points = [f for row in rows for f in row if "." in f and _is_number(f, ".")]
    thousands = all(re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", f) for f in commas)
    if points or (thousands and delimiter != ";"):
        seen = f"{commas[0]} and {points[0]}" if points else commas[0]
        raise UsageError(
            f"{path}: found {seen}: is the comma a decimal sign? {options.key}.decimal=comma says "
            "so; separators of thousands have to be removed"
        )
    return ","


def _refuse_split_decimals(
    path: Path, rows: list[list[str]], delimiter: str | None, options: Options
) -> None:
    """Refuse 0,5 line after line: two columns of integers, or one of decimals."""
    if delimiter != "," or len(rows) < 2 or len(rows[0]) != 2:
        return
    if all(len(r) == 2 and re.fullmatch(r"[+-]?\d+", r[0]) and r[1].isdigit() for r in rows):
        raise UsageError(
            f"{path}: every line reads like {','.join(rows[0])}: one number with a decimal comma, "
            f"or two? {options.key}.decimal=comma or {options.key}.decimal=point says which"
        )


def _header(path: Path, rows: list[list[str]], decimal: str, options: Options) -> bool:
    """Whether the first line holds names."""
    if options.header != "auto" or not rows:
        return options.header == "names"
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    numeric = [_is_number(text, decimal) for text in first]
    bare = [text for text in first if text]
    counts = [str(j) for j in range(len(bare))]
    if not all(numeric):
        texts = [j for j, is_number in enumerate(numeric) if not is_number and first[j]]
        if not texts:  # a gap among numbers, or pandas' integers behind the nameless index
            return first[0] == "" and bare == counts and len(first) > 1
        if not any(numeric):
            return True
        below = rest[:1] and any(_is_number(rest[0][j], decimal) for j in texts)
        if below or not rest:
            return bool(below)
        return _ask_header(path, first, options) if _names_like(first, rest, texts) else False
    counted = bare == counts and len(bare) > 1
    whole = all(re.fullmatch(r"[+-]?\d+", text) for text in first)
    fractions = rest and all(
        any(not re.fullmatch(r"[+-]?\d+", row[j]) for row in rest) for j in range(len(first))
    )
    steps = {int(b) - int(a) for a, b in pairwise(first)} if whole else set()
    regular = (len(first) == 1 and first == ["0"]) or (len(steps) == 1 and min(steps) > 0)
    if counted or (whole and fractions and regular):
        return _ask_header(path, first, options)
    return False


def _names_like(first: list[str], rest: list[list[str]], texts: list[int]) -> bool:
    """Whether no row below repeats the first line's words: then they may be names."""
    return all(first[j] not in {row[j] for row in rest} for j in texts)


def _ask_header(path: Path, first: list[str], options: Options) -> bool:
    raise UsageError(
        f"{path}: line 1 reads {few(first)}: names of columns, or values? "
        f"{options.key}.header=names or {options.key}.header=values says which"
    )


def _index(
    path: Path, names: list[str], rows: list[list[str]], options: Options
) -> tuple[set[int], tuple[str, ...]]:
    """Columns that pandas wrote as an index, and what is said of them."""
    first = [row[0] for row in rows if row]
    counts = first in ([str(j + base) for j in range(len(first))] for base in (0, 1))
    # What pandas calls an index that it writes as a column.
    called = {"index", "level_0"} if counts else set()
    index = {j for j, name in enumerate(names) if re.fullmatch(r"Unnamed: \d+", name)}
    if len(names) > 1 and names[0] in called | {""}:
        index.add(0)
    if index:
        what = ", ".join(names[j] or "without a name" for j in sorted(index))
        return index, (f"{path}: the column {what} is an index, and left out",)
    if counts and len(names) > 1 and len(first) > 2 and options.columns is None:
        others, key = ",".join(names[1:4]) + (",..." if len(names) > 4 else ""), options.key
        raise UsageError(
            f"{path}: column {names[0]} counts the rows: an index, or values? {key}.columns="
            f"[{others}] leaves it out, {key}.columns=[{names[0]},{others}] keeps it"
        )
    return set(), ()


class _Stream(io.RawIOBase):
    """Lines as the file that pyarrow reads; blanks become one tab where they delimit."""

    def __init__(self, lines: Iterator[tuple[int, str]], blanks: bool) -> None:
        self._lines = lines
        self._blanks = blanks
        self._buffer = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while len(self._buffer) < len(target):
            block = [line for _, line in islice(self._lines, 4096)]
            if not block:
                break
            if self._blanks:
                block = ["\t".join(_fields(line, None)) for line in block]
            self._buffer += ("\n".join(block) + "\n").encode()
        count = min(len(target), len(self._buffer))
        target[:count] = self._buffer[:count]
        self._buffer = self._buffer[count:]
        return count


def _batches(
    path: Path,
    source: Callable[[], Iterator[tuple[int, str]]],
    columns: list[int],
    width: int,
    delimiter: str | None,
) -> Iterator[list[Any]]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    if next(source(), None) is None:
        return
    names = [str(j) for j in range(width)]
    bad: list[Any] = []

    def remember(row: Any) -> str:
        bad.append(row)
        return "error"

    try:
        reader = arrow.open_csv(
            _Stream(source(), delimiter is None),
            read_options=arrow.ReadOptions(column_names=names, use_threads=False),
            parse_options=arrow.ParseOptions(
                delimiter=delimiter or "\t", invalid_row_handler=remember
            ),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
        for batch in reader:
            yield [batch.column(j) for j in columns]
    except pa.ArrowInvalid as error:
        if not bad:
            raise UsageError(f"{path} cannot be read: {first_line(error)}") from error
        number = next(islice(source(), bad[0].number - 1, None))[0]
        raise UsageError(
            f"{path}, line {number}: found {bad[0].actual_columns} values, line "
            f"{next(_lines(path))[0]} has {width}; every line needs as many"
        ) from None
