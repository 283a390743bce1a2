"""Strict shapes for JSON values: every field known, typed and within range, or INVALID."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .errors import Invalid
from .strictjson import parse_hex

Check = Callable[[Any, str], Any]
"""Takes a value and its place; returns the value to use, or raises :class:`Invalid`."""

_SHA = re.compile(r"[0-9a-f]{64}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")


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


def word(value: Any, where: str) -> str:
    """A short name, whose meaning is checked where it is used."""
    if not isinstance(value, str) or len(value) > 60:
        raise Invalid(where, f"expected a short name, found {value!r:.60}")
    return value


def text(value: Any, where: str) -> str:
    """A string of reasonable length."""
    if not isinstance(value, str) or len(value) > 10_000:
        raise Invalid(where, "expected a string")
    return value


def digest(value: Any, where: str) -> str:
    """A SHA-256 in lower-case hexadecimal."""
    if not isinstance(value, str) or not _SHA.match(value):
        raise Invalid(where, "expected 64 lower-case hexadecimal digits")
    return value


def file_name(value: Any, where: str) -> str:
    """The name of a file beside the certificate; no folders, so nothing else can be read."""
    if not isinstance(value, str) or not _NAME.match(value):
        raise Invalid(where, "expected the plain name of a file beside the certificate")
    return value


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
