"""Text tables: delimiter, decimal sign, header, comments and index, settled before pyarrow parses.

What a file leaves open is settled by what its first lines say; a file that can be read in two ways
is refused, with the option that says which.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from lipsort_cli.console import say
from lipsort_cli.data.arrow import GAPS
from lipsort_cli.data.options import Options, few, index_columns
from lipsort_cli.errors import UsageError, first_line

_LONGEST = 2**23
"""Characters of a line, and..."""
_MOST_COLUMNS = 2**18
"""... columns of a text table."""
LOOK = 200
"""Lines that delimiter and decimal sign are found in."""


@dataclass(frozen=True)
class Layout:
    """How a text table is laid out: what its first lines say, or the options.

    ``names`` are those of all columns, numbers from 1 where the file has none; ``kept`` the
    positions of those that are no index. ``delimiter`` is None for blanks; ``skip`` counts the
    lines of names; ``loose`` says that blanks stand between delimiters and quotation marks.
    """

    path: Path
    names: tuple[str, ...]
    named: bool
    kept: tuple[int, ...]
    delimiter: str | None
    decimal: str
    skip: int
    loose: bool
    notes: tuple[str, ...]

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines of values, with their numbers."""
        return islice(_lines(self.path), self.skip, None)

    def line(self, row: int) -> str:
        """Where row ``row`` (from 0) is, in words."""
        return f"line {next(islice(self.lines(), row, None))[0]}"

    def batches(self, columns: Sequence[int]) -> Iterator[list[Any]]:
        """Arrays of text of the ``columns`` (positions among ``kept``), batch by batch."""
        import pyarrow as pa
        from pyarrow import csv as arrow

        if next(self.lines(), None) is None:
            return
        names = [str(j) for j in range(len(self.names))]
        passed: set[int] = set()
        lines = islice(_lines(self.path, passed, len(names) == 1), self.skip, None)
        bad: list[Any] = []

        def remember(row: Any) -> str:
            bad.append(row)
            return "error"

        try:
            reader = arrow.open_csv(
                _Stream(lines, self.delimiter, self.delimiter is None or self.loose),
                read_options=arrow.ReadOptions(column_names=names, use_threads=False),
                parse_options=arrow.ParseOptions(
                    delimiter="\t" if self.loose else self.delimiter or "\t",
                    invalid_row_handler=remember,
                ),
                convert_options=arrow.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
            for batch in reader:
                yield [batch.column(self.kept[j]) for j in columns]
        except pa.ArrowInvalid as error:
            if not bad:
                raise UsageError(f"{self.path} cannot be read: {first_line(error)}") from error
            raise UsageError(
                f"{self.path}, {self.line(bad[0].number - 1)}: found {bad[0].actual_columns} "
                f"values, line {next(_lines(self.path))[0]} has {len(names)}; every line needs as "
                "many"
            ) from None
        if passed:
            numbers = few([str(number) for number in sorted(passed)])
            say(f"{self.path}: lines without values, empty or after a #, are skipped: {numbers}")


def read_layout(path: Path, options: Options) -> Layout:
    """Find out how the text table in ``path`` is laid out.

    Raises:
        UsageError: it can be read in two ways; the message names the option that settles it.
    """
    look = [line for _, line in islice(_lines(path), LOOK)]
    delimiter = _delimiter(look)
    if look and look[0].count(delimiter or " ") > _MOST_COLUMNS:
        raise UsageError(
            f"{path}: found more than {_MOST_COLUMNS:,} columns; save the numbers as .npy"
        )
    rows = [_fields(line, delimiter) for line in look]
    single = delimiter is None and rows[1:] and all(_is_number(line, ".") for line in look[1:])
    if single and not any(_is_number(text, ".") for text in rows[0]):
        rows[0] = [look[0].strip()]  # the name of one column may have blanks
    trailing = _trailing(rows, delimiter)
    if trailing:
        rows = [rows[0][: len(rows[-1]) - 1], *(row[:-1] for row in rows[1:])]
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
    skipped, notes = index_columns(path, called, rows[1 if head else 0 :], options)
    for j, name in enumerate(called):
        if not name and j not in skipped:
            raise UsageError(f"{path}: column {j + 1} has no name; give it one")
    kept = tuple(j for j in range(width) if j not in skipped)
    if trailing:
        called.append("")
        notes += (f"{path}: lines end in a separator, and what is behind it is left out",)
    loose = any(f'{delimiter or " "} "' in line for line in look)
    skip = 1 if head else 0
    return Layout(path, tuple(called), named, kept, delimiter, decimal, skip, loose, notes)


def _all_lines(path: Path) -> Iterator[tuple[int, str]]:
    """All lines but empty ones, with their numbers."""
    with path.open("rb") as start:
        wide = start.read(2) in (b"\xff\xfe", b"\xfe\xff")
    with path.open(encoding="utf-16" if wide else "utf-8-sig") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST), ""), 1):
            if len(line) == _LONGEST:
                raise UsageError(
                    f"{path}, line {number}: found more than {_LONGEST:,} characters in one line: "
                    "no table"
                )
            # A first line sep=; is for spreadsheets.
            if line.strip() and not (number == 1 and re.fullmatch(r"sep=.?\s*", line)):
                yield number, line.rstrip("\n")


def _lines(
    path: Path, passed: set[int] | None = None, blanks: bool = False
) -> Iterator[tuple[int, str]]:
    """The lines that hold values, with their numbers.

    ``passed`` gets the numbers of the comments between them, with ``blanks`` of empty lines too.
    """
    last = None
    for number, line in _all_lines(path):
        if passed is not None and last is not None:
            passed.update(range(last + 1, number) if blanks else ())
            passed.update([number] if _is_comment(line) else ())
        if _is_comment(line):
            last = last and number
            continue
        last = number
        yield number, line


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _comments(path: Path) -> Iterator[str]:
    """Comment lines before the first values."""
    for _, line in _all_lines(path):
        if not _is_comment(line):
            return
        yield line.lstrip().lstrip("#").strip()


def _delimiter(look: list[str]) -> str | None:
    """Tab, semicolon, bar or comma, as the first lines have it unquoted; None for blanks."""
    first, *rest = [re.sub(r'"[^"]*"', '""', line) for line in look[:2]] or [""]
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


def _fields(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        quoted = next(csv.reader([line], delimiter=" ", skipinitialspace=True))
        return [field for field in quoted if field.strip()] if '"' in line else line.split()
    found = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    return [field.strip() for field in found]


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
    points = [f for row in rows for f in row if "." in f and _is_number(f, ".")]
    signed = commas or (points if delimiter == ";" else [])  # of countries with decimal commas
    thousands = all(re.fullmatch(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", f) for f in signed)
    if (commas and points) or (signed and thousands):
        seen = f"{commas[0]} and {points[0]}" if commas and points else signed[0]
        sign = "comma" if commas else "point"
        raise UsageError(
            f"{path}: found {seen}: is the {sign} a decimal sign? {options.key}.decimal={sign} "
            "says so; separators of thousands have to be removed"
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
    if not all(_is_number(text, decimal) for text in row):
        return False
    steps = [b - a for a, b in pairwise(Decimal(text.replace(decimal, ".")) for text in row)]
    return min(steps) > 0 and min(steps) == max(steps)


def _ask_header(path: Path, first: list[str], options: Options) -> bool:
    raise UsageError(
        f"{path}: line 1 reads {few(first)}: names of columns, or values? "
        f"{options.key}.header=names or {options.key}.header=values says which"
    )


class _Stream(io.RawIOBase):
    """Lines as the file that pyarrow reads; with ``apart``, tabs stand between their fields."""

    def __init__(
        self, lines: Iterator[tuple[int, str]], delimiter: str | None, apart: bool
    ) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._apart = apart
        self._buffer = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while len(self._buffer) < len(target):
            block = [line for _, line in islice(self._lines, 4096)]
            if not block:
                break
            if self._apart:
                block = ["\t".join(_fields(line, self._delimiter)) for line in block]
            self._buffer += ("\n".join(block) + "\n").encode()
        count = min(len(target), len(self._buffer))
        target[:count] = self._buffer[:count]
        self._buffer = self._buffer[count:]
        return count
