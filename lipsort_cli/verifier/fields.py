"""Strict shapes for JSON values: every field known, typed and within range, or INVALID."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .errors import Invalid
from .strictjson import parse_hex

Check = Callable[[Any, str], Any]
"""Takes a value and its place; returns the value to use, or raises :class:`Invalid`."""


def record(**fields: Check) -> Check:
    """An object with exactly these fields."""

    def check(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Invalid(where, "expected an object")
        for key in fields:
            if key not in value:
                raise Invalid(_join(where, key), "missing")
        for key in value:
            if key not in fields:
                raise Invalid(_join(where, f"{key!r:.60}"), "unknown field")
        return {key: item(value[key], _join(where, key)) for key, item in fields.items()}

    return check


def listing(item: Check, *, minimum: int = 0) -> Check:
    """A list whose elements all pass ``item``."""

    def check(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list) or len(value) < minimum:
            raise Invalid(where, f"expected a list of at least {minimum} elements")
        return [item(entry, f"{where}[{index}]") for index, entry in enumerate(value)]

    return check


def optional(item: Check) -> Check:
    """``null`` or a value that passes ``item``."""
    return lambda value, where: None if value is None else item(value, where)


def integer(minimum: int, maximum: int = 1 << 62) -> Check:
    """An integer, never a Boolean or a float."""

    def check(value: Any, where: str) -> int:
        if type(value) is not int or not minimum <= value <= maximum:
            raise Invalid(where, f"expected an integer from {minimum}, found {value!r:.40}")
        return value

    return check


def number(minimum: float = 0.0) -> Check:
    """A finite binary64 number of at least ``minimum``, as a hexadecimal float."""

    def check(value: Any, where: str) -> float:
        parsed = parse_hex(value, where)
        if parsed < minimum:
            raise Invalid(where, f"expected at least {minimum}, found {value}")
        return parsed

    return check


def choice(*allowed: str) -> Check:
    """One of the strings."""

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise Invalid(where, f"expected one of {', '.join(allowed)}; found {value!r:.60}")
        return value

    return check


def matching(pattern: str, expected: str) -> Check:
    """A string of which all matches ``pattern``."""
    matcher = re.compile(pattern, re.DOTALL)

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or not matcher.fullmatch(value):
            raise Invalid(where, f"expected {expected}, found {value!r:.60}")
        return value

    return check


word = matching(".{0,60}", "a short name")
"""Its meaning is checked where it is used."""
text = matching(".{0,10000}", "a string of at most 10,000 characters")
digest = matching("[0-9a-f]{64}", "64 lower-case hexadecimal digits")
file_name = matching("[A-Za-z0-9][A-Za-z0-9._-]{0,199}", "the plain name of a file beside it")
"""No folders, so nothing else can be read."""


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
