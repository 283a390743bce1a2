"""What a trained network takes: shape and units of its inputs, names of classes and of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsort_cli.data.letters import as_written
from lipsort_cli.data.options import few, said_of
from lipsort_cli.errors import UsageError
from lipsort_cli.quoting import setting


@dataclass(frozen=True)
class Taken:
    """What a network takes: shape and units of its inputs, names of classes and of columns.

    ``classes`` are numbers where the data had no names, ``features`` empty where columns had none.
    ``pixels``: inputs were stored as levels, divided by ``full_scale``; ``low`` and ``high`` bound
    the training inputs, as far as they are known.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    features: tuple[str, ...] = ()
    pixels: bool = False
    full_scale: int | None = None
    channels_last: bool = False
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def of(cls, recorded: Any, shape: tuple[int, ...], classes: int) -> Taken:
        """From the fingerprint ``data`` in ``run.json``; else from the network alone: floats."""
        found = recorded or {}
        inputs = {"shape": shape, **found.get("inputs", {})}
        inputs["shape"] = tuple(inputs["shape"])
        names = found.get("classes") or map(str, range(classes))
        return cls(classes=tuple(names), features=tuple(found.get("features", ())), **inputs)

    @property
    def unit(self) -> bool:
        """Whether training inputs were in [0, 1], stored as pixels or not."""
        return self.pixels or (self.low >= 0 and self.high <= 1)


def columns_of(
    names: Sequence[str], place: str, taken: Taken, chosen: list[str] | None, group: str = ""
) -> tuple[list[str], list[str]]:
    """The columns that are the inputs, in the order of training, and what is said of that.

    Args:
        names: of the columns that may be inputs.
        place: where they are, for messages.
        taken: what the network takes.
        chosen: the columns that stand for those of the training, in this order; None: the same.
        group: that of the options, for messages.
    """
    key = setting(group, "columns")
    wanted = list(chosen or taken.features or names)
    if len(wanted) != taken.shape[0]:
        raise UsageError(
            f"{key}: found {len(wanted)} ({few(wanted)}) in {place}; the run was "
            f"trained on {taken.shape[0]} columns"
            + (f": {few(taken.features)}" if taken.features else "")
        )
    given, wanted = wanted, as_written(wanted, names)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise UsageError(
            f"{place}: lacks {few(missing)}, which the run was trained on; it has the columns "
            f"{few(names)}; {key}=[...] names the columns that stand for "
            f"{few(taken.features or wanted)}, in this order"
        )
    notes = [*said_of(given, wanted, place)]
    if chosen is None and not taken.features:
        notes.append(f"{place}: the run's data had no names; columns are taken by position")
    elif wanted != [name for name in names if name in wanted]:
        notes.append(f"{place}: columns put in the order of training: {few(wanted)}")
    left = [name for name in names if name not in wanted]
    if left:
        notes.append(f"{place}: left out, as the run was not trained on them: {few(left)}")
    return wanted, notes
