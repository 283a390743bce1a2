"""All faults of a configuration together: ranges, names, and the rules between fields.

A rule between fields is a method of the dataclass that holds them: ``faults`` yields what is wrong,
``warnings`` what is allowed but seldom meant. Torch-free; a rule that needs the data (number of
classes, image size) belongs to the command.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from lipsort_cli.config.ranges import out_of_range
from lipsort_cli.config.registry import names_of
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.errors import Fault


def faults(config: Any) -> list[str]:
    """All faults: values out of range first, then names, then rules between fields."""
    found = [*out_of_range(config), *_misnamed(config)]
    # Rules rely on nodes of the right type.
    if all(is_dataclass(getattr(config, group, config)) for group in GROUPS):
        for node in _nodes(config):
            found.extend(node.faults() if hasattr(node, "faults") else ())
    return found


def warnings(config: Any) -> list[str]:
    """What is allowed but seldom meant."""
    return [
        words
        for node in _nodes(config)
        for words in (node.warnings() if hasattr(node, "warnings") else ())
    ]


def _nodes(node: Any) -> Iterator[Any]:
    """A dataclass and all dataclasses in it, the outermost first."""
    yield node
    for entry in fields(node):
        value = getattr(node, entry.name)
        if is_dataclass(value):
            yield from _nodes(value)


def _misnamed(config: Any) -> Iterator[str]:
    """Names of options that were set by hand, and would silently be another option's."""
    for group, options in GROUPS.items():
        node: Any = getattr(config, group, None)
        if not is_dataclass(node) or names_of(type(node)):
            continue
        # A node of a command's own, which is no option of the group, has no name.
        name: str = getattr(node, "name", "")
        if name != getattr(type(node), "name", ""):
            chosen = name if name in options else "|".join(sorted(options))
            yield Fault(
                f"{group}.name: found {name!r}; it is set by the choice of the option, "
                f"not by hand: use {group}={chosen}",
                (f"{group}.name={name}", [f"{group}={name}"]) if name in options else None,
            )
