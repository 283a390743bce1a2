"""JSON without the loopholes: no duplicate keys, NaN, infinities, huge numbers or deep nesting.

Texts that would unpack to far more than any certificate holds are refused before they are parsed.
"""

import hashlib
import json
import math
import re
from typing import Any

from .errors import Invalid, Unsupported, require

LARGEST_TEXT = 1 << 28  # bytes of JSON that are read at most (256 MiB)
MOST_LISTS = 1 << 17  # objects and lists in one text, with opening brackets inside strings
MOST_VALUES = 1 << 23  # values in one text at most: columns of more than a million points

_ZEROS = re.compile(r"\.0*(?=p)|(?<=[1-9a-f])0+(?=p)")  # at the end of a fraction
HEX = re.compile(r"-?0x[01](\.[0-9a-f]{1,13})?p[+-][0-9]{1,4}")


def parse(text: bytes | str, where: str) -> Any:
    """Parse JSON strictly. Raises :class:`Invalid` or :class:`Unsupported`, never another."""
    require(len(text) <= LARGEST_TEXT, where, f"larger than {LARGEST_TEXT} bytes", Unsupported)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            require(key not in found, where, f"key {key[:60]!r} occurs twice")
            found[key] = value
        return found

    def decimal(literal: str) -> float:
        require(math.isfinite(float(literal)), where, f"{literal[:40]} is out of range")
        return float(literal)

    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        # What would take long to parse, or more memory than its size suggests.
        for marks, most, name in (
            ("[{", MOST_LISTS, "lists and objects"),
            (",:", MOST_VALUES, "values"),
        ):
            count = sum(map(text.count, marks))
            require(count <= most, where, f"{count} {name}, more than {most}", Unsupported)
        return json.loads(
            text, object_pairs_hook=pairs, parse_constant=decimal, parse_float=decimal
        )
    except (ValueError, RecursionError) as error:
        raise Invalid(where, f"not JSON ({str(error)[:120]})") from None


def canonical(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, ASCII."""
    separators = (",", ":")
    return json.dumps(value, sort_keys=True, separators=separators, allow_nan=False).encode("ascii")


def sha256(data: bytes) -> str:
    """SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def parse_hex(text: Any, where: str) -> float:
    """A finite binary64 number in the form of ``float.hex``, which may leave out zeros at the end
    of the fraction; other spellings are refused.
    """
    if not isinstance(text, str) or not HEX.fullmatch(text):
        raise Invalid(where, f"expected a hexadecimal float such as '0x1.8p+0', found {text!r:.60}")
    try:
        value = float.fromhex(text)
    except (OverflowError, ValueError):
        raise Invalid(where, f"{text!r} is out of range") from None
    if text != value.hex() and _ZEROS.sub("", text) != _ZEROS.sub("", value.hex()):
        raise Invalid(where, f"{text!r} is not the normal form of a binary64 number")
    return value
