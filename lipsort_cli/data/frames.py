"""Tables in memory, of pandas, polars or whatever is alike: columns by name.

None of these packages is imported: what has named columns is known by its attributes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lipsort_cli.console import warn
from lipsort_cli.data.taken import Taken, columns_of
from lipsort_cli.errors import UsageError


def names_of(values: Any) -> list[str] | None:
    """The names of a table's columns, or of the numbers of one row; None where there are none.

    Columns that are only counted, from 0 on, have no names.
    """
    try:
        names = getattr(values, ("index", "columns")[len(values.shape) - 1], None)
        if names is None or callable(names):
            return None
        found = list(names)
    except Exception:  # whatever another package's object has in place of a shape
        return None
    return None if found == list(range(len(found))) else [str(name) for name in found]


def matched(
    key: str, values: Any, names: Sequence[str], taken: Taken, chosen: list[str] | None
) -> list[tuple[str, Any]]:
    """The columns ``names`` that are the inputs, in the order of training; says what was moved.

    A single row counts as a table of one.

    Raises:
        UsageError: the columns are not those of the training, or one is there twice.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{key}: found more than one column {twice[0]!r}; rename them")
    wanted, notes = columns_of(names, key, taken, chosen)
    for note in notes:
        warn(note)
    places = [names.index(name) for name in wanted]
    if len(values.shape) == 1:
        row = np.asarray(values)
        return [(names[place], row[place : place + 1]) for place in places]
    own = list(values.columns)
    return [(names[place], values[own[place]]) for place in places]
