"""How a table is to be read: what a node of the configuration says, for every reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lipsort_cli.config.data import TableOptions


@dataclass(frozen=True)
class Options:
    """How a table is to be read; ``key`` is the group of the options, for messages.

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
    """The first names of many."""
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")
