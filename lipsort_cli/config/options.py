"""Typed options: one dataclass field carries its default, its help, and its allowed range.

Help pages, completion and validation all read the same metadata, so they cannot disagree.
Nothing here imports Hydra or torch: completion must stay fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypedDict, TypeVar, Unpack, cast, dataclass_transform

REQUIRED = "???"
"""OmegaConf's marker of a value that the user must give."""


LARGEST_SEED = 2**63 - 1
"""The largest number that every generator of random numbers here takes as a seed."""

LARGEST_NUMBER = 2.0**127
"""The largest real number that an option takes: float32 holds it, and with it every network."""

MOST_THREADS = 1024
"""CPU threads that may be asked for."""

MOST_POINTS = 10**9
"""Points, rows or directions that may be asked for: sizes of arrays stay within 64 bits."""

MOST_DIMENSIONS = 2**20
"""Dimensions of a synthetic pair."""


Kind = TypeVar("Kind", bound=type)


@dataclass_transform()
def node(kind: Kind) -> Kind:
    """Make a class a dataclass, as a node of the configuration is one.

    Its instances are printed and compared as any object, and all are made by one function: to
    write and compile such functions for each class would take most of the time of help pages and
    completion, which need all classes and next to no instances.
    """
    made: Any = dataclass(kind, init=False, repr=False, eq=False, match_args=False)
    made.__init__ = _made
    return cast(Kind, made)


def _made(self: Any, *values: Any, **named: Any) -> None:
    """Set the fields of a node: those given by position or name, the others to their defaults."""
    entries = fields(self)
    if len(values) > len(entries):
        raise TypeError(
            f"{type(self).__name__}: found {len(values)} values for {len(entries)} keys"
        )
    given = dict(zip((entry.name for entry in entries), values, strict=False)) | named
    for entry in entries:
        value = given.pop(entry.name) if entry.name in given else default_of(entry)
        if value is MISSING:
            raise TypeError(f"{type(self).__name__}: {entry.name} is required")
        setattr(self, entry.name, value)
    if given:
        raise TypeError(f"{type(self).__name__}: no such keys: {', '.join(given)}")


def default_of(entry: Field[Any]) -> Any:
    """The default of a dataclass field; MISSING where it has none."""
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


class Limits(TypedDict, total=False):
    """What values an option allows: of a list, every element."""

    minimum: float
    maximum: float
    """Both inclusive."""
    above: float
    below: float
    """Both exclusive."""
    choices: Sequence[str]
    """Strings that are allowed."""
    refused: Mapping[str, str]
    """Strings that people ask for, with the reason why not."""
    pattern: str
    """A regular expression that the whole string matches; the help line lists what is allowed."""
    filled: bool
    """A list has an element at least."""
    distinct: bool
    """A list has each element only once."""
    rising: bool
    """Elements of a list are ever larger."""
    path: bool
    """One of the user's files or folders: a run keeps it absolute."""


def option(default: Any, help: str, **limits: Unpack[Limits]) -> Any:
    """A dataclass field with a help line and an allowed range."""
    return _field(default, {"help": help, **limits})


def like(owner: type, name: str, default: Any, help: str | None = None) -> Any:
    """The option ``name`` of the dataclass ``owner`` with another default, or help line as well."""
    found = next(f.metadata for f in fields(owner) if f.name == name)
    return _field(default, found if help is None else {**found, "help": help})


def _field(default: Any, metadata: Mapping[str, Any]) -> Any:
    if isinstance(default, list):
        values = list(default)
        return field(default_factory=lambda: list(values), metadata=metadata)
    return field(default=default, metadata=metadata)
