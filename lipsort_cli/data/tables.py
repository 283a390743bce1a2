"""Tables: what the columns of a CSV or Parquet file are called, and what their numbers are.

One reader for every command, on pyarrow. Numbers are the binary64 nearest to what is written,
integers exact; gaps, words and columns twice are errors that say what to do.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from lipsort_cli.data.arrow import TRUTH, BadValue, Numbers, numbers
from lipsort_cli.data.delimited import LOOK, read_layout
from lipsort_cli.data.letters import as_written
from lipsort_cli.data.options import Options, few, index_columns
from lipsort_cli.errors import UsageError
from lipsort_cli.files import readable, refuse_bomb
from lipsort_cli.quoting import setting

TABLES = (".csv", ".tsv", ".txt", ".parquet")
"""Endings of the names of tables."""


@dataclass(frozen=True)
class Table:
    """An open table: its columns by name, and their values a batch of rows at a time.

    ``named`` is false where the file has no names and ``names`` are numbers. ``notes`` say what
    was left out. ``batches`` gives, for some columns by position, one Arrow array each.
    """

    path: Path
    names: tuple[str, ...]
    named: bool
    batches: Callable[[Sequence[int]], Iterator[list[Any]]] = field(repr=False)
    line: Callable[[int], str]
    decimal: str = "."
    notes: tuple[str, ...] = ()

    def positions(self, columns: Sequence[str], key: str) -> list[int]:
        """Where ``columns`` are.

        Raises:
            UsageError: the table has no such column, or one is named twice.
        """
        columns = as_written(columns, self.names)
        for name in columns:
            if name not in self.names:
                raise UsageError(
                    f"{key}: found {name!r}; {self.path} has the columns {few(self.names)}"
                )
        if twice := _twice(columns):
            raise UsageError(f"{key}: found {twice!r} twice; allowed: each column once")
        return [self.names.index(name) for name in columns]

    def numbers(self, columns: Sequence[int], gaps: str, key: str) -> Iterator[Numbers]:
        """The values of ``columns`` as binary64, batch by batch, gaps NaN.

        Raises:
            UsageError: a value is no number, or a gap where ``gaps`` is ``refuse``.
        """
        return (values for values, _ in self.read(columns, (), gaps, key))

    def read(
        self, columns: Sequence[int], texts: Sequence[int], gaps: str, key: str
    ) -> Iterator[tuple[Numbers, list[list[str]]]]:
        """The same in one pass with the columns ``texts`` as words: empty for a gap, 2.0 is 2."""
        start, truths = 0, dict[int, bool]()
        for batch in self.batches([*columns, *texts]):
            arrays, rest = batch[: len(columns)], batch[len(columns) :]
            found = [
                self._column(array, j, start, key, truths)
                for array, j in zip(arrays, columns, strict=True)
            ]
            hi = np.stack([number.hi for number in found], axis=1)
            lo = None
            if any(number.lo is not None for number in found):
                lo = np.stack([n.hi * 0 if n.lo is None else n.lo for n in found], axis=1)
            gap = np.stack([number.gap for number in found], axis=1)
            if gap.any() and gaps == "refuse":
                row, place = (int(n) for n in np.argwhere(gap)[0])
                raise UsageError(
                    f"{self.path}, {self.line(start + row)}, column "
                    f"{self._called(columns[place])}: found a gap; "
                    f"{setting(key, 'gaps', 'drop')} leaves out the rows that have one, "
                    f"{setting(key, 'columns', '[...]')} a column"
                )
            numbers = Numbers(hi, lo, gap, np.array([n.decimal for n in found]))
            yield numbers, [_words(array) for array in rest]
            start += len(hi)

    def _column(
        self, array: Any, column: int, start: int, key: str, truths: dict[int, bool]
    ) -> Numbers:
        """One column of a batch; ``truths`` says whether it held truth values in those before."""
        try:
            found = numbers(array, self.decimal)
            for row in np.flatnonzero(~found.gap)[:1]:  # all of a batch are of one kind
                text = str(array[int(row)].as_py()).strip()
                if truths.setdefault(column, text.lower() in TRUTH) != (text.lower() in TRUTH):
                    other = "truth values" if truths[column] else "numbers"
                    raise BadValue(int(row), f"{text!r} below {other}")
            for row in np.flatnonzero(np.isinf(found.hi)):
                text = array[int(row)].as_py()
                if isinstance(text, str) and re.search(r"\d", text):  # not the word inf
                    raise BadValue(int(row), f"{text.strip()!r}, a number too large for binary64")
            return found
        except BadValue as error:
            comma = self.decimal == "." and re.fullmatch(r"'[-+]?\d+,\d+'", error.value)
            thousands = re.fullmatch(_THOUSANDS, error.value)
            raise UsageError(
                f"{self.path}, {self.line(start + error.row)}, column {self._called(column)}: "
                f"found {error.value}; allowed: numbers only, or truth values only"
                + ("" if self.named else ", after at most one line of column names")
                + f"; {setting(key, 'columns', '[...]')} takes other columns"
                + (f", {setting(key, 'decimal', 'comma')} reads decimal commas" if comma else "")
                + ("; remove separators of thousands" if thousands else "")
            ) from None

    def _called(self, column: int) -> str:
        return repr(self.names[column]) if self.named else self.names[column]


_THOUSANDS = r"""(['"])[-+]?\d{1,3}(([., '\u2019]|\\xa0|\\u202f|\\u2009)\d{3})+([.,]\d+)?\1"""
"""Numbers with separators of thousands, as Python writes them."""


def _words(array: Any) -> list[str]:
    """Values as words: empty for a gap; whole numbers and bytes as in a text file."""
    found = []
    for value in array.to_pylist():
        whole = isinstance(value, float | Decimal) and value == value and value % 1 == 0
        if value is None or value != value:
            found.append("")
        elif isinstance(value, bytes):
            found.append(value.decode("utf-8", "backslashreplace").strip())
        else:
            found.append(str(int(value) if whole else value).strip())
    return found


def open_table(path: Path, options: Options) -> Table:
    """The table in ``path``, by the ending of its name.

    Raises:
        UsageError: it is damaged, or can be read in two ways; the message names the option that
            settles it.
    """
    import pyarrow

    faults = (pyarrow.ArrowException, OSError, UnicodeDecodeError, csv.Error)
    with readable(path, faults):
        text = path.suffix.lower() != ".parquet"
        opened = _text(path, options) if text else _parquet(path, options)

    def batches(columns: Sequence[int]) -> Iterator[list[Any]]:
        with readable(path, faults):
            yield from opened.batches(columns)

    return replace(opened, batches=batches)


def _twice(names: Sequence[str]) -> str | None:
    """A name that occurs more than once."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _refuse_twice(path: Path, names: Sequence[str]) -> None:
    if twice := _twice(names):
        raise UsageError(f"{path}: found more than one column {twice!r}; rename them")


_OTHERS = {
    b"PAR1": "a Parquet file; give it a name that ends in .parquet",
    **dict.fromkeys((b"PK\3\4", b"\xd0\xcf\x11\xe0"),
                    "an archive or a spreadsheet; save it as CSV"),
    **dict.fromkeys((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"),
                    "a compressed file; unpack it first"),
}  # fmt: skip
"""What files that are no text begin with."""


def _text(path: Path, options: Options) -> Table:
    with path.open("rb") as file:
        start = file.read(8)
    for sign, found in _OTHERS.items():
        if start.startswith(sign):
            raise UsageError(f"{path}: found {found}")
    layout = read_layout(path, options)
    names = tuple(layout.names[j] for j in layout.kept)
    _refuse_twice(path, names)
    return Table(
        path, names, layout.named, layout.batches, layout.line, layout.decimal, layout.notes
    )


def _parquet(path: Path, options: Options) -> Table:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as opened:
        schema, found = opened.schema_arrow, opened.metadata
    groups = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
    refuse_bomb(path, max(groups, 8 * found.num_rows * found.num_columns))
    _refuse_twice(path, schema.names)
    index = _pandas_index(schema.metadata or {}) & set(schema.names)
    others = [name for name in schema.names if name not in index]
    left, said = index_columns(path, others, _first_rows(path, others), options)
    kept = [name for j, name in enumerate(others) if j not in left]

    def batches(columns: Sequence[int]) -> Iterator[list[Any]]:
        wanted = [kept[j] for j in columns]
        with parquet.ParquetFile(path) as opened:
            for batch in opened.iter_batches(columns=wanted):
                yield [batch.column(name) for name in wanted]

    notes = (f"{path}: the index {few(sorted(index))} is no column",) if index else ()
    sign = "," if options.decimal == "comma" else "."
    return Table(
        path, tuple(kept), True, batches, lambda row: f"row {row + 1}", sign, (*notes, *said)
    )


def _first_rows(path: Path, names: Sequence[str]) -> list[list[str]]:
    """Some rows of the columns ``names`` as text, nothing for what is no whole number."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path) as opened:
        kinds = {name: opened.schema_arrow.field(name).type for name in names}
        whole = [name for name in names if pa.types.is_integer(kinds[name])]
        batch = next(opened.iter_batches(batch_size=LOOK, columns=whole), None) if whole else None
    if batch is None:
        return []
    found = batch.to_pydict()
    return [[str(found[n][i]) if n in found else "" for n in names] for i in range(len(batch))]


def _pandas_index(metadata: dict[bytes, bytes]) -> set[str]:
    """Columns that pandas wrote as the index of its frame."""
    try:
        found = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        return set()
    return {name for name in found if isinstance(name, str)}
