"""How a table is to be read: as its options say, and without the columns that number its rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lipsort_cli.config.data import TableOptions
from lipsort_cli.data.letters import as_written
from lipsort_cli.errors import UsageError
from lipsort_cli.quoting import list_override, setting

_PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".tar", ".tgz", ".7z", ".rar")
"""Endings of files that hold others."""


def packed_words(location: str | Path) -> str:
    """What to do with a compressed file or an archive, behind other words; else nothing."""
    packed = str(location).lower().endswith(_PACKED)
    return "; it is packed: unpack it first, and give what it holds" if packed else ""


@dataclass(frozen=True)
class Options:
    """How a table is to be read; ``key`` is the group of the options, for messages (of arguments
    in Python: none).

    ``header`` is ``auto``, or says that a text file's first line holds ``names`` or ``values``;
    ``decimal`` is ``auto``, ``point`` or ``comma``. ``columns`` chooses and orders columns by name
    (by number, from 1, where they have none). ``gaps`` is ``refuse`` or ``drop``. ``apart`` are the
    columns that are no inputs: a label.
    """

    key: str = "data"
    columns: tuple[str, ...] | None = None
    gaps: str = "refuse"
    header: str = "auto"
    decimal: str = "auto"
    apart: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: TableOptions | None, key: str, apart: Sequence[str | None] = ()) -> Options:
        """Those of a node of the configuration; None: as they are where nothing is said."""
        known = tuple(name for name in apart if name is not None)
        if config is None:
            return cls(key, apart=known)
        columns = None if config.columns is None else tuple(config.columns)
        return cls(key, columns, config.gaps, config.header, config.decimal, known)


def few(names: Sequence[str]) -> str:
    """The first names of many; those with signs that are not shown as Python writes them."""
    shown = [name if name.isprintable() else repr(name) for name in names[:8]]
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def said_of(names: Sequence[str], written: Sequence[str], place: str) -> tuple[str, ...]:
    """What is said of those of ``names`` that ``place`` has in another encoding of letters."""
    others = [one for name, one in zip(names, written, strict=True) if name != one]
    if not others:
        return ()
    return (f"{place}: the same names in another encoding of letters: {few(others)}",)


_CALLED = {"index", "level_0", "id", "idx", "no", "nr", "row", "row_id", "rowid", "row_nr"}
"""Names of columns that number rows, in any order, when they hold different whole numbers."""
_FEW = (3, 10)
"""Rows without which a column counts by chance: the first column, and any other."""


def index_columns(
    path: Path, names: Sequence[str], rows: Sequence[Sequence[str]], options: Options
) -> tuple[set[int], tuple[str, ...]]:
    """Positions of the columns that are an index, and what is said of them.

    ``rows`` are the first ones, as text. Columns that ``options`` chooses are taken as they are.

    Raises:
        UsageError: a column may be an index or values; the message names both ways out.
    """
    if len(names) < 2:
        return set(), ()
    columns = [[row[j] if j < len(row) else "" for row in rows] for j in range(len(names))]
    # What pandas calls an index that it writes as a column.
    index = {j for j, name in enumerate(names) if re.fullmatch(r"Unnamed: \d+", name)}
    if not names[0] or (names[0] in ("index", "level_0") and _counts(columns[0]) in (0, 1)):
        index.add(0)
    apart = as_written(options.apart, names)
    doubtful = [
        j for j, name in enumerate(names)
        if name and j not in index and name not in apart
        and len(rows) >= _FEW[min(j, 1)]
        and (_counts(columns[j]) is not None or (name.lower() in _CALLED and _differ(columns[j])))
    ]  # fmt: skip
    others = [n for j, n in enumerate(names) if j not in index and n not in apart]
    if doubtful and len(others) > 1 and options.columns is None:
        column, key = names[doubtful[0]], options.key
        rest = [name for name in others if name != column]
        raise UsageError(
            f"{path}: column {column} counts the rows: an index, or values? "
            f"{_columns(key, rest)} leaves it out, {_columns(key, others)} keeps it"
        )
    if not index:
        return index, ()
    what = ", ".join(names[j] or "without a name" for j in sorted(index))
    return index, (f"{path}: the column {what} is an index, and left out",)


def _counts(values: Sequence[str]) -> int | None:
    """Where values begin that count on by one from row to row; None for others."""
    if not values or not re.fullmatch(r"\d{1,18}", values[0]):
        return None
    start = int(values[0])
    return start if list(values) == [str(start + j) for j in range(len(values))] else None


def _differ(values: Sequence[str]) -> bool:
    """Whether they are different whole numbers."""
    return all(value.isdigit() for value in values) and len(set(values)) == len(values)


def _columns(key: str, names: Sequence[str]) -> str:
    """The override, or the argument, that takes these columns; the first of very many."""
    shown = [*names] if len(names) <= 40 else [*names[:3], "..."]
    return list_override(f"{key}.columns", shown) if key else setting(key, "columns", str(shown))
