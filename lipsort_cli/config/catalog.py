"""What a command can be told, read from the dataclasses and the YAML tree without Hydra.

Help pages, completion and ``lipsort zoo`` are written from this, so it must be quick to import:
no Hydra, no OmegaConf, no torch; PyYAML only where values of an option's file are wanted.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lipsort_cli.config.options import REQUIRED, default_of
from lipsort_cli.config.registry import commands_of, names_of, said_of
from lipsort_cli.config.schema import COMMANDS, GROUPS
from lipsort_cli.config.tree import config_root, group_files, heading, leaves

_DEFAULT = re.compile(r"\s*-\s+(?:override\s+)?/?(\w+):\s*(\S+)\s*$")
_PARENT = re.compile(r"^\s*-\s+(?!_self_)(\w+)\s*$", re.MULTILINE)
_PATH = re.compile(r"\b(files?|folders?|directory)\b")

NONE = "null"
"""What a defaults list says of a group of which nothing need be chosen."""
PRESETS = "experiment"
"""The group of presets: each sets several groups and keys at once."""


@dataclass(frozen=True)
class Key:
    """One key that can be set, with all that is to be said about it."""

    name: str
    """The whole key, as ``training.epochs``."""
    default: Any
    """Its default; REQUIRED where the user must give it."""
    field: Field[Any]
    kind: Any
    """Its type."""

    @property
    def help(self) -> str:
        """Its help line."""
        return str(self.field.metadata.get("help", ""))

    @property
    def values(self) -> tuple[str, ...]:
        """Values that can be enumerated: choices, or those of a boolean."""
        choices = self.field.metadata.get("choices")
        if choices:
            return tuple(choices)
        return ("true", "false") if self.kind is bool else ()

    @property
    def is_path(self) -> bool:
        """Whether its value is a path of the file system, as its help line says."""
        return self.kind is str and _PATH.search(self.help) is not None


def group_names() -> list[str]:
    """All groups, the presets among them."""
    return sorted([*GROUPS, PRESETS])


def group_options(group: str, command: str | None = None) -> list[str]:
    """The options of a group; of those, the ones that a command can use."""
    if group == PRESETS:
        return [name for name, _, _ in presets(command)] if command else group_files(group)
    options = sorted({*GROUPS.get(group, {}), *group_files(group)})
    return [o for o in options if command is None or usable(group, o, command)]


def usable(group: str, option: str, command: str) -> bool:
    """Whether a command can use an option."""
    return command in (commands_of(group, option) or (command,))


@cache
def default_options(command: str) -> dict[str, str]:
    """The groups of a command in the order of its defaults list, each with its default option.

    A defaults list of this tree holds one entry a line, which spares a YAML parser here.
    """
    return _defaults(config_root() / f"{command.replace('-', '_')}.yaml")


def _defaults(path: Path) -> dict[str, str]:
    """The groups that a file's defaults list chooses options of."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        match = _DEFAULT.match(line)
        if match:
            found[match[1]] = match[2].strip("\"'")
    return found


def chosen_options(command: str, words: list[str]) -> dict[str, str]:
    """The option of each group as a command line has it so far."""
    chosen = dict(default_options(command))
    for word in words:
        group, sign, option = word.partition("=")
        if sign and group in chosen:
            chosen[group] = option.split(",")[0]
    return chosen


def plain_keys(command: str) -> Iterator[Key]:
    """The keys of a command that belong to no group."""
    yield from _keys(COMMANDS[command].config, "", skip=tuple(default_options(command)))


def all_keys(command: str) -> list[Key]:
    """The keys of a command with every option of its groups; one that options share comes twice."""
    keys = list(plain_keys(command))
    for group in default_options(command):
        for option in group_options(group, command) if group in GROUPS else ():
            keys += option_keys(group, option)
    return keys


def is_text(command: str, key: str) -> bool:
    """Whether a key's values are text, in any option of its group."""
    return any(one.name == key and one.kind is str for one in all_keys(command))


def option_keys(group: str, option: str, *, values: bool = False) -> list[Key]:
    """The keys of an option; with ``values``, defaults are those of its YAML file if it has one."""
    kind: Any = GROUPS.get(group, {}).get(option)
    if kind is None:
        return []
    given = _values(config_root() / group / f"{option}.yaml") if values else {}
    found = []
    for key in _keys(kind, f"{group}."):
        short = key.name.removeprefix(f"{group}.")
        if short != "name" or names_of(kind):
            found.append(replace(key, default=given.get(short, key.default)))
    return found


def _values(path: Path) -> dict[str, Any]:
    """What a file sets itself, if it is there."""
    import yaml

    loaded = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return {k: v for k, v in (loaded or {}).items() if k not in ("defaults", "hydra")}


def primary_values(command: str) -> dict[str, Any]:
    """The values that a command's primary file sets itself, by whole key."""
    return dict(leaves(_values(config_root() / f"{command.replace('-', '_')}.yaml")))


def describe_option(group: str, option: str) -> str:
    """One line on an option: the head of its YAML file, or its dataclass' docstring."""
    path = config_root() / group / f"{option}.yaml"
    lines = heading(path) if path.is_file() else [said_of(GROUPS[group][option])]
    return lines[0] if lines else ""


def presets(command: str | None = None) -> list[tuple[str, str, str]]:
    """Name, launching command line and description of each preset (of one command)."""
    found = []
    for name in group_files(PRESETS):
        lines = [*heading(config_root() / PRESETS / f"{name}.yaml"), "", ""]
        launch, text = lines[0], lines[1]
        words = launch.removeprefix("$").split()
        if command is None or words[1:2] == [command]:
            found.append((name, launch, text))
    return found


def presets_for(command: str, choices: Mapping[str, Any]) -> list[str]:
    """Presets of a command for the data or distribution in ``choices``, by group; none of one that
    is chosen already. Those of studies, in folders of their own, are left out."""
    group = next((group for group in ("data", "distribution") if group in choices), None)
    if group is None or choices.get(PRESETS) is not None:
        return []
    found = []
    for name, _, _ in presets(command):
        if "/" not in name:
            own = _of_preset(name)
            if own.get(group, default_options(command)[group]) == choices[group]:
                found.append(name)
    return found


def _of_preset(name: str) -> dict[str, str]:
    """The options that a preset and those that it is made from choose, by group."""
    path = config_root() / PRESETS / f"{name}.yaml"
    found: dict[str, str] = {}
    for parent in _PARENT.findall(path.read_text(encoding="utf-8")):
        found |= _of_preset(parent)
    return found | _defaults(path)


@cache
def _keys(schema: type, prefix: str, skip: tuple[str, ...] = ()) -> tuple[Key, ...]:
    return tuple(_walk(schema, prefix, skip))


def _walk(schema: type, prefix: str, skip: tuple[str, ...]) -> Iterator[Key]:
    hints = typing.get_type_hints(schema)
    for entry in fields(schema):
        kind = _bare(hints[entry.name])
        if entry.name in skip and not prefix:
            continue
        if is_dataclass(kind) and isinstance(kind, type):
            yield from _keys(kind, f"{prefix}{entry.name}.")
            continue
        default = default_of(entry)
        default = REQUIRED if default is MISSING else default
        yield Key(f"{prefix}{entry.name}", default, entry, kind)


def _bare(hint: Any) -> Any:
    """The type without its ``| None``."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def run_directories(commands: tuple[str, ...], root: Path = Path("outputs")) -> list[str]:
    """Run directories under ``outputs``, the newest first: what completion offers as RUN."""
    found = []
    for command in commands:
        # Single runs lie at <date>/<time>, jobs of a sweep one level deeper.
        for pattern in (f"{command}/*/*/run.json", f"{command}/*/*/*/run.json"):
            found += [str(path.parent) for path in root.glob(pattern)]
    return sorted(found, reverse=True)
