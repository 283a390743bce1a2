"""Text tables: delimiter, decimal sign, header, comments and index, settled before values are read.

What a file leaves open is settled by what its first lines say; a file that can be read in two ways
is refused, with the option that says which.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, dropwhile, islice, pairwise
from pathlib import Path
from typing import Any

from lipsort_cli.console import plural, say
from lipsort_cli.data.arrow import GAPS, TRUTH
from lipsort_cli.data.options import Options, few, index_columns
from lipsort_cli.errors import UsageError
from lipsort_cli.quoting import setting

_LONGEST = 2**23
"""Characters of a line, and..."""
_MOST_COLUMNS = 2**18
"""... columns of a text table."""
LOOK = 200
"""Lines that delimiter and decimal sign are found in."""
_CELLS = 2**19
"""Cells of a batch."""
_QUOTED = re.compile(r'(?<![^\t\n ;|,])"(?:[^"]|"")*"')
"""A quoted cell, whatever the delimiter is."""


@dataclass(frozen=True)
class Layout:
    """How a text table is laid out: what its first lines say, or the options.

    ``names`` are those of all columns, numbers from 1 where the file has none; ``kept`` the
    positions of those that are no index. ``delimiter`` is None for blanks; ``skip`` counts the rows
    of names.
    """

    path: Path
    names: tuple[str, ...]
    named: bool
    kept: tuple[int, ...]
    delimiter: str | None
    decimal: str
    skip: int
    notes: tuple[str, ...]

    def line(self, row: int) -> str:
        """Where row ``row`` (from 0) begins, in words."""
        return f"line {next(islice(_rows(self.path, self.delimiter), self.skip + row, None))[0]}"

    def batches(self, columns: Sequence[int]) -> Iterator[list[Any]]:
        """Arrays of text of the ``columns`` (positions among ``kept``), batch by batch."""
        import pyarrow as pa

        width = len(self.names)
        passed: list[int] = []
        every = _rows(self.path, self.delimiter, passed, width == 1)
        rows = islice(every, self.skip, None)
        while batch := list(islice(rows, max(16, _CELLS // width))):
            for number, _, fields in batch:
                if len(fields) != width:
                    raise UsageError(
                        f"{self.path}, line {number}: found {plural(len(fields), 'value')}, line "
                        f"{next(_rows(self.path, self.delimiter))[0]} has {width}; every line "
                        "needs as many"
                    )
            places = [self.kept[j] for j in columns]
            yield [pa.array([row[2][place] for row in batch], pa.string()) for place in places]
        if passed:
            numbers = few([str(number) for number in passed])
            say(f"{self.path}: lines without values, empty or after a #, are skipped: {numbers}")


def read_layout(path: Path, options: Options) -> Layout:
    """Find out how the text table in ``path`` is laid out.

    Raises:
        UsageError: it can be read in two ways; the message names the option that settles it.
    """
    delimiter = _delimiter(path)
    look = list(islice(_rows(path, delimiter), LOOK))
    rows = [[field.strip() for field in fields] for _, _, fields in look]
    if not rows and not any(line.strip() for _, line in _lines(path)):
        raise UsageError(f"{path}: found an empty table; allowed: at least one row")
    single = delimiter is None and rows[1:] and all(
        len(row) == 1 and _is_number(row[0], ".") for row in rows[1:]
    )  # fmt: skip
    if single and '"' not in look[0][1] and not any(_is_number(text, ".") for text in rows[0]):
        rows[0] = [look[0][1].strip()]  # the name of one column may have blanks
    trailing = _trailing(rows, delimiter)
    if trailing:
        rows = [rows[0][: len(rows[-1]) - 1], *(row[:-1] for row in rows[1:])]
    decimal = _decimal(path, rows, delimiter, options)
    if decimal == "," and delimiter == "," and not any('"' in line for _, line, _ in look):
        delimiter, rows = None, [[line.strip()] for _, line, _ in look]  # one column of 0,5
    head = bool(rows) and _header(path, rows, decimal, options)
    if head and rows[1:] and {len(row) for row in rows[1:]} == {len(rows[0]) + 1}:
        _refuse_shifted(path, rows, decimal)
        rows[0] = ["", *rows[0]]  # R names no column of row names
    width = len(rows[0]) if rows else 1
    names = rows[0] if head else next(
        (n for n in _heading(path, delimiter)
         if len(n) == width and any(n) and not any(_is_number(name, ".") for name in n)), None
    )  # fmt: skip
    if decimal == "." and not head and options.decimal == "auto":
        _refuse_split_decimals(path, rows, delimiter, options)
    named = names is not None
    called = [name.strip() for name in names] if names else [str(j + 1) for j in range(width)]
    skipped, notes = index_columns(path, called, rows[1 if head else 0 :], options)
    for j, name in enumerate(called):
        if not name and j not in skipped:
            raise UsageError(f"{path}: column {j + 1} has no name; give it one")
    kept = tuple(j for j in range(width) if j not in skipped)
    if trailing:
        called.append("")
        notes += (f"{path}: lines end in a separator, and what is behind it is left out",)
    return Layout(path, tuple(called), named, kept, delimiter, decimal, int(head), notes)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """All lines, with their numbers."""
    with path.open("rb") as start:
        wide = start.read(2) in (b"\xff\xfe", b"\xfe\xff")
    with path.open(encoding="utf-16" if wide else "utf-8-sig") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST), ""), 1):
            if len(line) == _LONGEST:
                raise UsageError(
                    f"{path}, line {number}: found more than {_LONGEST:,} characters in one line: "
                    "no table"
                )
            if "\0" in line:
                raise UsageError(
                    f"{path}, line {number}: found a character NUL, which no text has; save it as "
                    "UTF-8"
                )
            # A first line sep=; is for spreadsheets.
            if number > 1 or not re.fullmatch(r"sep=.?\s*", line):
                yield number, line.rstrip("\n")


def _rows(
    path: Path, delimiter: str | None, passed: list[int] | None = None, blanks: bool = False
) -> Iterator[tuple[int, str, list[str]]]:
    """The rows, that of names as well: number of the first line, this line, and all cells.

    ``passed`` gets the numbers of the comments between them, with ``blanks`` of empty lines too;
    those before the first row only where there is none. Quoted cells may hold what looks like one.
    """
    passed = [] if passed is None else passed
    empty: list[int] = []
    width = 0
    lines = _lines(path)
    for number, line in lines:
        # Delimiters alone are a row of gaps.
        if not line.strip() and (delimiter is None or delimiter not in line):
            empty.append(number)
            continue
        passed.extend(empty if blanks else ())
        empty.clear()
        if _is_comment(line) and not _begins_with_gap(path, number, line, delimiter, width):
            passed.append(number)
            continue
        if not width:
            passed.clear()
        try:
            cells = _cells(line, delimiter, lines)
        except csv.Error as error:
            raise UsageError(
                f"{path}, line {number}: a cell in quotation marks cannot be read: {error}; "
                "allowed: a mark at both ends, and two for one inside"
            ) from None
        if len(cells) > _MOST_COLUMNS:
            raise UsageError(
                f"{path}: found more than {_MOST_COLUMNS:,} columns; save the numbers as .npy"
            )
        width = len(cells)
        yield number, line, cells


def _cells(line: str, delimiter: str | None, lines: Iterator[tuple[int, str]]) -> list[str]:
    """The cells of a row that begins with ``line``; quoted ones may go on in the next ``lines``."""
    if '"' not in line:
        return line.split(delimiter)
    taken: list[str] = []

    def more() -> Iterator[str]:
        for _, text in chain([(0, line)], lines):
            taken.append(f"{text}\n")
            yield taken[-1]
        raise csv.Error("no mark closes it")

    form: Any = {"delimiter": delimiter or " ", "skipinitialspace": True}
    found = next(csv.reader(more(), **form))
    if len(taken) > 1:  # two stray marks do not make a cell of all the rows between them
        next(csv.reader(taken, strict=True, **form))
    behind = delimiter is None and taken[-1][-2:-1].isspace() and not found[-1].strip()
    return found[:-1] if behind else found  # nothing is behind the last blank


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _begins_with_gap(path: Path, number: int, line: str, delimiter: str | None, width: int) -> bool:
    """Whether a line that looks like a comment, below rows of ``width`` cells, is one of them.

    Raises:
        UsageError: it may be a row, and is none of numbers that was commented out.
    """
    cells = line.split(delimiter) if delimiter else []
    first = cells[0].strip() if 0 < len(cells) == width else ""
    text = first.lstrip("#")
    if first.lower() in GAPS[1:]:
        return True
    if text and text == text.lstrip() and not any(_is_number(text, sign) for sign in ".,"):
        raise UsageError(
            f"{path}, line {number}: found {first!r} in front of as many values as in the lines "
            "above: a comment, or a row? Remove the line, or put this value in quotation marks"
        )
    return False


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not _is_comment(line)


def _heading(path: Path, delimiter: str | None) -> Iterator[list[str]]:
    """Cells of the comments before the first row."""
    for _, line in _lines(path):
        if _is_row(line):
            return
        with suppress(csv.Error):  # they may have any marks
            yield _cells(line.strip().lstrip("#").strip(), delimiter, iter(()))


def _delimiter(path: Path) -> str | None:
    """Tab, semicolon, bar or comma, as the first rows have it unquoted; None for blanks."""
    look = islice(dropwhile(lambda line: not _is_row(line[1]), _lines(path)), LOOK)
    unquoted = _QUOTED.sub('""', "\n".join(line for _, line in look)).split("\n")
    first, *rest = [line for line in unquoted if _is_row(line)][:2] or [""]
    for sign in ("\t", ";", "|"):
        if sign in first and all(sign in line for line in rest):
            return sign
    words = first.split()
    european = len(words) > 1 and all(re.fullmatch(r"[+-]?\d+,\d+", word) for word in words)
    return "," if "," in first and not european else None


def _trailing(rows: list[list[str]], delimiter: str | None) -> bool:
    """Whether every line ends in a delimiter, and the first names nothing behind it."""
    body = rows[1:] or rows
    ends = delimiter is not None and all(len(row) > 1 and not row[-1] for row in body)
    return ends and (not rows[0][-1] or len(rows[0]) < len(body[0]))


def _is_number(text: str, decimal: str) -> bool:
    text = text.strip()
    if text.lower() in TRUTH:
        return True
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
    points = [f for row in rows for f in row if "." in f and _is_number(f, ".")]
    signed = commas or (points if delimiter == ";" else [])  # of countries with decimal commas
    thousands = all(re.fullmatch(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", f) for f in signed)
    if (commas and points) or (signed and thousands):
        seen = f"{commas[0]} and {points[0]}" if commas and points else signed[0]
        sign = "comma" if commas else "point"
        raise UsageError(
            f"{path}: found {seen}: is the {sign} a decimal sign? "
            f"{setting(options.key, 'decimal', sign)} says so; separators of thousands have to be "
            "removed"
        )
    return "," if commas else "."


def _refuse_split_decimals(
    path: Path, rows: list[list[str]], delimiter: str | None, options: Options
) -> None:
    """Refuse 0,5 line after line: two columns of integers, or one of decimals."""
    if delimiter != "," or len(rows) < 2 or len(rows[0]) != 2:
        return
    if all(len(r) == 2 and re.fullmatch(r"[+-]?\d+", r[0]) and r[1].isdigit() for r in rows):
        raise UsageError(
            f"{path}: every line reads like {','.join(rows[0])}: one number with a decimal comma, "
            f"or two? {_either(options, 'decimal', 'comma', 'point')}"
        )


def _refuse_shifted(path: Path, rows: list[list[str]], decimal: str) -> None:
    """Refuse a name too few, unless the first column names rows: it counts them, or has words."""
    first = [row[0] for row in rows[1:]]
    counts = any(first == [str(start + j) for j in range(len(first))] for start in (0, 1))
    if not counts and any(_is_number(text, decimal) or text.lower() in GAPS for text in first):
        raise UsageError(
            f"{path}: found {plural(len(rows[0]), 'name')} of columns above lines of "
            f"{len(rows[1])}; allowed: as many, or one name less where the first column "
            "counts or names the rows"
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
        gaps = [text.lower() in GAPS for text in first]
        texts = [j for j, is_number in enumerate(numeric) if not is_number and not gaps[j]]
        if not texts:  # a gap among numbers, or pandas' integers behind the nameless index
            if bare and all(gaps):
                return _ask_header(path, first, options)
            return first[0] == "" and bare == counts and len(first) > 1
        if not any(numeric):
            return True
        below = rest[:1] and any(_is_number(rest[0][j], decimal) for j in texts)
        if below or not rest:
            return bool(below)
        # Words that no row below repeats may be names.
        named = all(first[j] not in {row[j] for row in rest} for j in texts)
        return named and _ask_header(path, first, options)
    counted = bare == counts and len(bare) > 1
    whole = all(re.fullmatch(r"[+-]?\d+", text) for text in first)
    fractions = rest and all(
        any(not re.fullmatch(r"[+-]?\d+", row[j]) for row in rest) for j in range(len(first))
    )
    few_regular = first == ["0"] or (len(first) == 2 and _regular(first, decimal))
    # Years, wavelengths: no other line rises as evenly.
    alone = len(first) > 2 and rest and not any(_regular(row, decimal) for row in rest)
    if counted or (whole and fractions and few_regular) or (alone and _regular(first, decimal)):
        return _ask_header(path, first, options)
    return False


def _regular(row: list[str], decimal: str) -> bool:
    """Whether numbers rise in equal steps."""
    if not all(_is_number(text, decimal) and text.lower() not in TRUTH for text in row):
        return False
    steps = [b - a for a, b in pairwise(Decimal(text.replace(decimal, ".")) for text in row)]
    return min(steps) > 0 and min(steps) == max(steps)


def _ask_header(path: Path, first: list[str], options: Options) -> bool:
    raise UsageError(
        f"{path}: line 1 reads {few(first)}: names of columns, or values? "
        f"{_either(options, 'header', 'names', 'values')}"
    )


def _either(options: Options, name: str, *values: str) -> str:
    """The two values of an option of which one has to be chosen."""
    return " or ".join(setting(options.key, name, value) for value in values) + " says which"
