"""What can be chosen and what can be run: filled by the dataclasses themselves as they are defined.

An option of a group is a class under :func:`choice`, a command a dataclass under :func:`command`.
Name, help line, keys, defaults and ranges are said there and nowhere else: Hydra's configuration
store, the help pages, completion and `lipsort zoo` are written from these tables.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from keyword import iskeyword
from typing import Any, cast, dataclass_transform

from lipsort_cli.config.options import REQUIRED, Kind, node
from lipsort_cli.errors import UsageError


@node
class Option:
    """What every option of a group has: the name that its group knows it under."""

    name: str = REQUIRED

    def faults(self) -> Iterator[str]:
        """Rules between fields: what is wrong, one message each."""
        return iter(())

    def warnings(self) -> Iterator[str]:
        """What is allowed but seldom meant."""
        return iter(())


GROUPS: dict[str, dict[str, type[Option]]] = {}
"""The dataclass of every option, by group."""

_COMMANDS_OF: dict[tuple[str, str], tuple[str, ...]] = {}
"""The commands that can use an option, for those which not every command can use."""


@dataclass_transform()
def choice(
    group: str, name: str, *, presets: tuple[str, ...] = (), commands: tuple[str, ...] = ()
) -> Callable[[Kind], Kind]:
    """Make a class a dataclass, and the option ``name`` of ``group``; its docstring says it.

    Args:
        group: the group, such as ``activation``.
        name: the option, such as ``relu``; a field ``name`` of its own has that as its default.
        presets: files ``conf/<group>/<preset>.yaml`` that give the same option other values.
        commands: the only commands that can use it; empty: all that have the group.
    """

    def register(kind: Kind) -> Kind:
        if kind.__module__.partition(".")[0] != __name__.partition(".")[0]:
            _admit(kind, group, name)
        if "name" not in vars(kind):
            kind.__annotations__ = {"name": "str", **inspect.get_annotations(kind)}
            kind.name = name  # type: ignore[attr-defined]
        made: Any = node(kind)
        for one in (name, *presets):
            GROUPS.setdefault(group, {})[one] = made
            if commands:
                _COMMANDS_OF[group, one] = commands
        return cast(Kind, made)

    return register


EXTENSIBLE = ("activation", "data", "distribution", "loss", "model")
"""Groups that plugins may add options to, which then have a method ``make``."""


def _admit(kind: Any, group: str, name: str) -> None:
    """Let an option of a plugin in.

    Raises:
        UsageError: the group takes none, has an option of that name, the name cannot be typed, or
            nothing makes what it is.
    """
    other = GROUPS.get(group, {}).get(name)
    place = f"{kind.__module__}.{kind.__qualname__}"
    if group not in EXTENSIBLE:
        raise UsageError(f"{place}: found group {group!r}; allowed: {', '.join(EXTENSIBLE)}")
    if not name.replace("-", "_").isidentifier():
        raise UsageError(f"{place}: found name {name!r}; allowed: letters, digits, - and _")
    if other is not None and f"{other.__module__}.{other.__qualname__}" != place:
        raise UsageError(f"{place}: {group}={name} exists already, in {other.__module__}")
    if not callable(getattr(kind, "make", None)):
        raise UsageError(f"{place}: has no method make(), which makes what {group}={name} is")
    if group == "activation" and not hasattr(kind, "group"):
        kind.group = 1


def commands_of(group: str, option: str) -> tuple[str, ...]:
    """The only commands that can use an option; empty where every command can."""
    return _COMMANDS_OF.get((group, option), ())


def names_of(kind: type) -> tuple[str, ...]:
    """What users may put into the field ``name`` of an option that stands for several things."""
    entry = next((one for one in fields(kind) if one.name == "name"), None)
    return tuple(entry.metadata.get("choices", ())) if entry is not None else ()


def option_of(group: str, name: str) -> type | None:
    """The dataclass of the option ``name``, or of the one that stands for it among others."""
    options = GROUPS.get(group, {})
    return options.get(name) or next((k for k in options.values() if name in names_of(k)), None)


def resolve(path: str) -> Callable[..., Any]:
    """What ``MODULE:NAME`` stands for within lipsort; imported when it is asked for."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(f"lipsort_cli.{module}"), name)


def said_of(kind: type) -> str:
    """The first sentence or paragraph of a dataclass' docstring, on one line."""
    return " ".join((kind.__doc__ or "").strip().partition("\n\n")[0].split())


# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """A command that Hydra configures: ``run(config, directory)`` of its module."""

    name: str
    config: type
    aliases: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    """Commands whose run directories it works on; empty: it makes a run directory of its own."""
    argument: str = ""
    """The key that an argument beside RUN sets: a file or folder that it works on."""
    senseless: str = ""
    """Why the runs of other commands cannot be worked on, in one sentence."""
    many: bool = False
    """Whether it takes any number of run directories, as ``runs=[...]``."""
    objective: tuple[str, ...] = ()
    """Figures that a user would tune; the first that a run has is its objective."""
    measures: Mapping[str, str] = field(default_factory=dict)
    """Figures that its training logs on held-out data, by the names they are tuned by, the usual
    one first."""
    continued: bool = False
    """Whether the same command line goes on with what it has not finished."""
    examples: tuple[tuple[str, str], ...] = ()
    """Worked examples for its help page: what it does, and the command line."""

    @property
    def help(self) -> str:
        """What it does, in one line."""
        return said_of(self.config)

    @property
    def key(self) -> str:
        """Name of its module and of its primary configuration."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """Import path of the module that implements it; a word of Python's ends in ``_``."""
        return f"lipsort_cli.commands.{self.key}" + "_" * iskeyword(self.key)


COMMANDS: dict[str, Command] = {}
"""Every command by its name."""


def command(name: str, **rest: Any) -> Callable[[Kind], Kind]:
    """Make a dataclass the configuration of ``lipsort NAME``; ``rest``: fields of a Command."""

    def register(kind: Kind) -> Kind:
        COMMANDS[name] = Command(name, kind, **rest)
        return kind

    return register
