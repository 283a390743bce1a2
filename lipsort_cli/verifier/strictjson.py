"""JSON without the loopholes: no duplicate keys, NaN, infinities, huge numbers or deep nesting."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

from lipsort_cli.verifier.errors import Invalid

LARGEST_TEXT = 1 << 28
"""Bytes of JSON that are read at most (256 MiB)."""

_HEX = re.compile(r"(-?)0x([01])(?:\.([0-9a-f]{1,13}))?p([+-][0-9]{1,4})\Z")


def parse(text: bytes | str, where: str) -> Any:
    """Parse JSON strictly. Raises :class:`Invalid`, never anything else."""
    if len(text) > LARGEST_TEXT:
        raise Invalid(where, f"larger than {LARGEST_TEXT} bytes")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise Invalid(where, f"key {twice[:60]!r} occurs twice")
        return dict(items)

    def constant(name: str) -> Any:
        raise Invalid(where, f"{name} is not a number of JSON")

    def number(literal: str) -> float:
        value = float(literal)
        if not math.isfinite(value):
            raise Invalid(where, f"number {literal[:40]} is out of range")
        return value

    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number
        )
    except Invalid:
        raise
    except (ValueError, RecursionError) as error:
        raise Invalid(where, f"not JSON ({str(error)[:120]})") from None


def canonical(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode("ascii")


def sha256(data: bytes) -> str:
    """SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def parse_hex(text: Any, where: str) -> float:
    """A finite binary64 number in the form of ``float.hex``; other spellings are refused."""
    if not isinstance(text, str) or not _HEX.match(text):
        raise Invalid(where, f"expected a hexadecimal float such as '0x1.8p+0', found {text!r:.60}")
    try:
        value = float.fromhex(text)
    except (OverflowError, ValueError):
        raise Invalid(where, f"{text!r} is out of range") from None
    if value.hex() != text:
        short = value.hex() != _lengthen(text)
        if short:
            raise Invalid(where, f"{text!r} is not the normal form of a binary64 number")
    return value


def _lengthen(text: str) -> str:
    """Fill the fraction to 13 digits, as ``float.hex`` writes it."""
    match = _HEX.match(text)
    assert match is not None
    sign, lead, fraction, exponent = match.groups()
    if lead == "0" and not (fraction or "").strip("0"):
        return f"{sign}0x0.0p+0"
    return f"{sign}0x{lead}.{(fraction or '').ljust(13, '0')}p{int(exponent):+d}"
