"""Typed options: one dataclass field carries its default, its help, and its allowed range.

Help pages, completion and validation all read the same metadata, so they cannot disagree.
Nothing here imports Hydra or torch: completion must stay fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from typing import Any

REQUIRED = "???"
"""OmegaConf's marker of a value that the user must give."""


LARGEST_SEED = 2**63 - 1
"""The largest number that every generator of random numbers here takes as a seed."""

MOST_THREADS = 1024
"""CPU threads that may be asked for."""

MOST_POINTS = 10**9
"""Points, rows or directions that may be asked for: sizes of arrays stay within 64 bits."""

MOST_DIMENSIONS = 2**20
"""Dimensions of a synthetic pair."""


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[str] | None = None,
    refused: Mapping[str, str] | None = None,
    pattern: str | None = None,
    filled: bool = False,
    distinct: bool = False,
    rising: bool = False,
    path: bool = False,
) -> Any:
    """A dataclass field with a help line and an allowed range.

    ``minimum``/``maximum`` are inclusive, ``above``/``below`` exclusive; for a list they hold for
    every element. ``choices`` lists the strings that are allowed, ``refused`` strings that people
    ask for with the reason why not; ``pattern`` is a regular expression that the whole string
    matches, where the help line lists what is allowed. A list that is ``filled`` has an element at
    least, one that is ``distinct`` each only once, one that is ``rising`` ever larger ones.
    A ``path`` is one of the user's files or folders: a run keeps it absolute.
    """
    metadata = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "below": below,
        "choices": tuple(choices) if choices is not None else None,
        "path": path,
        "refused": refused,
        "pattern": pattern,
        "filled": filled,
        "distinct": distinct,
        "rising": rising,
    }
    return _field(default, metadata)


def like(owner: type, name: str, default: Any) -> Any:
    """The option ``name`` of the dataclass ``owner`` with another default, for a subclass of it."""
    return _field(default, next(f.metadata for f in fields(owner) if f.name == name))


def _field(default: Any, metadata: Mapping[str, Any]) -> Any:
    if isinstance(default, list):
        values = list(default)
        return field(default_factory=lambda: list(values), metadata=metadata)
    return field(default=default, metadata=metadata)
