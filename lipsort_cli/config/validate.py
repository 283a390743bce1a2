"""All faults of a configuration together: ranges, names, and the rules between fields.

A rule between fields is a method of the dataclass that holds them: ``faults`` yields what is wrong,
``warnings`` what is allowed but seldom meant. Torch-free; a rule that needs the data (number of
classes, image size) belongs to the command.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from lipsort_cli.config.options import LARGEST_NUMBER, LARGEST_SEED
from lipsort_cli.config.registry import names_of
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.errors import Fault


def allowed(metadata: Any) -> str:
    """The allowed values of an option in words; empty when every value of its type is."""
    if metadata.get("choices"):
        return ", ".join(metadata["choices"])
    return " and ".join(f"{sign} {_number(limit)}" for sign, _, limit in _limits(metadata))


_LIMITS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": (">=", operator.ge),
    "above": (">", operator.gt),
    "maximum": ("<=", operator.le),
    "below": ("<", operator.lt),
}
"""What each limit of an option says of a value."""


def _limits(metadata: Any) -> Iterator[tuple[str, Callable[[float, float], bool], float]]:
    """Sign, comparison and number of each limit that an option has."""
    for key, said in _LIMITS.items():
        if (limit := metadata.get(key)) is not None:
            yield *said, limit


def _number(value: float) -> str:
    """A limit in few characters, but never rounded past itself."""
    if isinstance(value, int):
        return str(value)
    mantissa, exponent = math.frexp(value)
    return f"2^{exponent - 1}" if mantissa == 0.5 and abs(exponent) > 20 else f"{value:g}"


def out_of_range(node: Any, prefix: str = "") -> Iterator[str]:
    """A message for every value outside its range, at any depth below the dataclass ``node``."""
    for entry in fields(node):
        key = f"{prefix}{entry.name}"
        value = getattr(node, entry.name)
        if is_dataclass(value):
            yield from out_of_range(value, f"{key}.")
        elif not entry.metadata and entry.name in GROUPS and value is not None:
            # A group's node that no dataclass of the group gives its type.
            options = ", ".join(sorted(GROUPS[entry.name]))
            yield f"{key}: found {value!r}; choose with {key}=OPTION, one of {options}"
        elif isinstance(value, list):
            yield from _list_faults(key, value, entry.metadata)
            for position, element in enumerate(value):
                yield from value_faults(f"{key}[{position}]", element, entry.metadata)
        elif value is not None:
            yield from value_faults(key, value, entry.metadata)


def _list_faults(key: str, value: list[Any], metadata: Any) -> Iterator[str]:
    if metadata.get("filled") and not value:
        yield f"{key}: found []; allowed: at least one element"
    if metadata.get("distinct") and len(set(value)) < len(value):
        yield f"{key}: found {value}; allowed: each one once"
    if metadata.get("rising") and any(b <= a for a, b in pairwise(value)):
        yield f"{key}: found {value}; allowed: increasing values, each one once"


def value_faults(key: str, value: Any, metadata: Any) -> Iterator[str]:
    """A message for a single value outside what ``metadata`` allows."""
    choices = metadata.get("choices")
    if choices is not None:
        if value not in choices:
            reason = (metadata.get("refused") or {}).get(str(value))
            yield (
                f"{key}: found {value!r}; allowed: {', '.join(choices)}"
                + (f" ({reason})" if reason else "")
            )
        return
    if metadata.get("path") and value == "":
        yield f"{key}: found nothing; allowed: a path, such as . for this folder"
        return
    pattern = metadata.get("pattern")
    if pattern is not None and isinstance(value, str) and not re.fullmatch(pattern, value):
        yield f"{key}: found {value!r}; allowed: {metadata['help']}"
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if isinstance(value, int) and abs(value) > LARGEST_SEED and not metadata.get("maximum"):
        yield f"{key}: found {value}; allowed: whole numbers up to {LARGEST_SEED}"
        return
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: found {value}; allowed: a finite number"
        return
    if isinstance(value, float) and abs(value) > LARGEST_NUMBER:
        yield f"{key}: found {value}; allowed: numbers up to {_number(LARGEST_NUMBER)}"
        return
    if not all(holds(value, limit) for _, holds, limit in _limits(metadata)):
        yield f"{key}: found {value}; allowed: {allowed(metadata)}"


def faults(config: Any) -> list[str]:
    """All faults: values out of range first, then names, then rules between fields."""
    found = [*out_of_range(config), *_misnamed(config)]
    # Rules rely on nodes of the right type.
    if all(is_dataclass(getattr(config, group, config)) for group in GROUPS):
        found += _said(config, "faults")
    return found


def warnings(config: Any) -> list[str]:
    """What is allowed but seldom meant."""
    return _said(config, "warnings")


def _said(config: Any, rules: str) -> list[str]:
    """What the rules of all nodes say, of those that have any."""
    return [words for node in _nodes(config) for words in getattr(node, rules, tuple)()]


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
