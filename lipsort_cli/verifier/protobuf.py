"""The wire format of protocol buffers, as far as ONNX files need it; reading only.

https://protobuf.dev/programming-guides/encoding: a message is a list of (field number, wire type,
value) with values varint (0), 8 bytes (1), length-delimited (2) or 4 bytes (5).
"""

from __future__ import annotations

from lipsort_cli.verifier.errors import Invalid

Field = int | bytes


def fields(data: bytes, where: str) -> dict[int, list[Field]]:
    """All fields of a message by number, in order. Raises Invalid for anything malformed."""
    found: dict[int, list[Field]] = {}
    position = 0
    while position < len(data):
        key, position = varint(data, position, where)
        number, kind = key >> 3, key & 7
        value: Field
        if kind == 0:
            value, position = varint(data, position, where)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, position = data[position : position + size], position + size
        elif kind == 2:
            size, position = varint(data, position, where)
            value, position = data[position : position + size], position + size
        else:
            raise Invalid(where, f"wire type {kind} is not used by ONNX")
        if position > len(data) or number == 0:
            raise Invalid(where, "the file is truncated or damaged")
        found.setdefault(number, []).append(value)
    return found


def varint(data: bytes, position: int, where: str) -> tuple[int, int]:
    """One variable-length integer and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise Invalid(where, "the file is truncated")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise Invalid(where, "an integer of more than ten bytes")


def signed(value: int) -> int:
    """A varint as a two's complement 64-bit integer."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def packed(values: list[Field], where: str) -> list[int]:
    """A repeated integer field, packed or not."""
    found = []
    for value in values:
        if isinstance(value, int):
            found.append(signed(value))
            continue
        position = 0
        while position < len(value):
            item, position = varint(value, position, where)
            found.append(signed(item))
    return found


def message(values: list[Field], where: str) -> bytes:
    """The last occurrence of a submessage or string, empty when there is none."""
    if not values:
        return b""
    if not isinstance(values[-1], bytes):
        raise Invalid(where, "a message was expected")
    return values[-1]


def messages(values: list[Field], where: str) -> list[bytes]:
    """A repeated submessage or string."""
    return [message([value], where) for value in values]


def string(values: list[Field], where: str) -> str:
    """The last occurrence of a string."""
    try:
        return message(values, where).decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid(where, "a name is not UTF-8") from None
