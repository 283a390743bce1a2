"""Strict shapes for values of JSON, every field known, typed and within range; and the certificate
format, version 2, in them: see ``docs/certificates.md``, ``docs/certificate.schema.json``.
"""

import re
from collections.abc import Callable
from typing import Any

from .errors import Invalid, Unsupported, require
from .operation import LayerBound
from .rounding import ARITHMETICS, NORMS
from .strictjson import MOST_VALUES, canonical, parse, parse_hex, sha256

Check = Callable[[Any, str], Any]  # of a value at a place: returns what to use, or raises Invalid


def record(**fields: Check) -> Check:
    """An object with exactly these fields."""

    def check(value: Any, where: str) -> dict[str, Any]:
        require(isinstance(value, dict), where, "expected an object")
        place = f"{where}." if where else ""
        for key in fields:
            require(key in value, place + key, "missing")
        for key in value:
            require(key in fields, f"{place}{key!r:.60}", "unknown field")
        return {key: item(value[key], place + key) for key, item in fields.items()}

    return check


def listing(item: Check, minimum: int = 0, maximum: int = MOST_VALUES) -> Check:
    """A list whose elements all pass ``item``."""

    def check(value: Any, where: str) -> list[Any]:
        holds = isinstance(value, list) and minimum <= len(value) <= maximum
        require(holds, where, f"expected a list of {minimum} to {maximum} elements")
        return [item(entry, f"{where}[{index}]") for index, entry in enumerate(value)]

    return check


def optional(item: Check) -> Check:
    """``null`` or a value that passes ``item``."""
    return lambda value, where: None if value is None else item(value, where)


def satisfying(holds: Callable[[Any], bool], expected: str) -> Check:
    """A value that ``holds``."""

    def check(value: Any, where: str) -> Any:
        if not holds(value):
            raise Invalid(where, f"expected {expected}, found {value!r:.60}")
        return value

    return check


def integer(minimum: int, maximum: int = 1 << 62) -> Check:
    """An integer, never a Boolean or a float."""
    known = f"an integer from {minimum}"
    return satisfying(lambda value: type(value) is int and minimum <= value <= maximum, known)


def number(value: Any, where: str) -> float:
    """A finite binary64 number that is not negative, as a hexadecimal float."""
    found = parse_hex(value, where)
    require(found >= 0, where, "expected at least 0, found a negative number")
    return found


def choice(*allowed: str) -> Check:
    """One of the strings."""
    known = f"one of {', '.join(allowed)}"
    return satisfying(lambda value: isinstance(value, str) and value in allowed, known)


def matching(pattern: str, expected: str) -> Check:
    """A string of which all matches ``pattern``."""
    match = re.compile(pattern, re.DOTALL).fullmatch
    return satisfying(lambda value: isinstance(value, str) and match(value) is not None, expected)


word = matching(".{0,60}", "a short name")  # its meaning is checked where it is used
text = matching(".{0,10000}", "a string of at most 10,000 characters")
digest = matching("[0-9a-f]{64}", "64 lower-case hexadecimal digits")
# No folders, so nothing else can be read.
file_name = matching("[A-Za-z0-9][A-Za-z0-9._-]{0,199}", "the plain name of a file beside it")

FORMAT, VERSION = "lipsort-certificate", 2
ENCODINGS = ("uint8/255", "float32", "float64")
COUNT, NORM = integer(0), choice(*NORMS)


def _layer(value: Any, where: str) -> LayerBound:
    """A layer's bound; ``parts`` are those of the layers inside a container."""
    known = {"index": COUNT, "op": word, "bound": number, "method": word, "witness": number}
    found = record(**known, parts=listing(listing(_layer)))(value, where)
    parts = tuple(tuple(part) for part in found.pop("parts"))
    return LayerBound(value=found.pop("bound"), parts=parts, **found)


def _kind(routes: tuple[str, ...], **fields: Check) -> Check:
    """A certificate; ``routes`` are norms in which bounds were taken, with these products."""
    products = record(**dict.fromkeys(routes, number))
    route = record(inputs=NORM, norm=NORM, layers=listing(_layer, 1), lipschitz=products)
    files = ("file_sha256", "graph_sha256", "weights_sha256")
    return record(
        format=choice(FORMAT),
        version=integer(VERSION, VERSION),
        kind=word,
        digest=digest,
        statement=text,
        assumptions=listing(text),
        network=record(file=file_name, **dict.fromkeys(files, digest)),
        lipschitz=record(network=number),
        routes=listing(route, 1),
        **fields,
    )


CLASSIFICATION = _kind(
    ("body", "network"),
    claim=record(
        property=choice("constant label"),
        norm=NORM,
        ball=choice("closed"),
        units=choice("raw input"),
        domain=choice("every input of the ball that the arithmetic represents"),
        arithmetic=choice(*ARITHMETICS),
    ),
    data=record(
        file=file_name,
        encoding=choice(*ENCODINGS),
        source=text,
        **dict.fromkeys(("file_sha256", "inputs_sha256", "labels_sha256"), digest),
    ),
    points=record(
        input_sha256=listing(digest),
        radius=listing(number),
        **dict.fromkeys(("index", "label", "prediction", "route"), listing(COUNT)),
    ),
    summary=record(
        points=integer(1),
        correct=COUNT,
        certified=COUNT,
        certified_at=listing(record(eps=number, count=COUNT)),
    ),
)
_MEASURE = record(count=integer(1), samples_sha256=digest, weights_sha256=optional(digest))
W1 = _kind(
    ("network",),
    claim=record(
        property=choice("lower bound of Wasserstein-1"),
        norm=NORM,
        units=choice("raw input"),
        measures=choice("the two weighted samples stored, weights divided by their sum"),
        arithmetic=choice("real"),
        value=number,
    ),
    data=record(file=file_name, file_sha256=digest, source=text),
    x=_MEASURE,
    y=_MEASURE,
)
KINDS = {"classification": CLASSIFICATION, "w1_lower_bound": W1}


def parse_certificate(data: bytes) -> dict[str, Any]:
    """Parse, check the digest, then the structure. Raises Invalid or Unsupported."""
    value = parse(data, "certificate")
    require(isinstance(value, dict), "certificate", "expected a JSON object")
    same = "digest" not in value or value["digest"] == content_digest(value)
    require(same, "digest", "the contents were changed after the certificate was issued")
    form, version, kind = (value.get(key) for key in ("format", "version", "kind"))
    require(form == FORMAT, "format", f"{form!r:.40}; known is {FORMAT!r}", Unsupported)
    again = "; issue it again: lipsort certify RUN replace=true" if version == 1 else ""
    reason = f"{version!r:.40}; known is {VERSION}{again}"
    require(type(version) is int and version == VERSION, "version", reason, Unsupported)
    known = isinstance(kind, str) and kind in KINDS
    require(known, "kind", f"{kind!r:.40}; known are {', '.join(KINDS)}", Unsupported)
    return dict(KINDS[kind](value, ""))


def content_digest(certificate: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything but the digest itself."""
    return sha256(canonical({key: item for key, item in certificate.items() if key != "digest"}))
