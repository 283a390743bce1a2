"""The certificate format, version 2: which fields there are, and the integrity of the file.

Described field by field in ``docs/certificates.md``; ``docs/certificate.schema.json`` is the same
for other languages.
"""

from __future__ import annotations

from typing import Any

from .errors import Invalid, Unsupported
from .fields import (
    Check,
    choice,
    digest,
    file_name,
    integer,
    listing,
    number,
    optional,
    record,
    text,
    word,
)
from .rounding import ARITHMETICS, NORMS
from .strictjson import canonical, parse, sha256

FORMAT = "lipsort-certificate"
VERSION = 2
ENCODINGS = ("uint8/255", "float32", "float64")

_NETWORK = record(file=file_name, file_sha256=digest, graph_sha256=digest, weights_sha256=digest)


def _layer(value: Any, where: str) -> dict[str, Any]:
    """A layer's bound; ``parts`` are those of the layers inside a container."""
    fields = record(
        index=integer(0),
        op=word,
        bound=number(),
        method=word,
        witness=number(),
        parts=listing(listing(_layer)),
    )
    return dict(fields(value, where))


def _routes(**constants: Check) -> Check:
    """Norms in which bounds were taken, each with those bounds and their products."""
    layers = listing(_layer, minimum=1)
    route = record(
        inputs=choice(*NORMS), norm=choice(*NORMS), layers=layers, lipschitz=record(**constants)
    )
    return listing(route, minimum=1)


COMMON: dict[str, Check] = {
    "format": choice(FORMAT),
    "version": integer(VERSION, VERSION),
    "kind": word,
    "digest": digest,
    "statement": text,
    "assumptions": listing(text),
    "network": _NETWORK,
    "lipschitz": record(network=number()),
}

CLASSIFICATION = record(
    **COMMON,
    claim=record(
        property=choice("constant label"),
        norm=choice(*NORMS),
        ball=choice("closed"),
        units=choice("raw input"),
        domain=choice("every input of the ball that the arithmetic represents"),
        arithmetic=choice(*ARITHMETICS),
    ),
    routes=_routes(body=number(), network=number()),
    data=record(
        file=file_name,
        file_sha256=digest,
        encoding=choice(*ENCODINGS),
        inputs_sha256=digest,
        labels_sha256=digest,
        source=text,
    ),
    points=record(
        index=listing(integer(0)),
        input_sha256=listing(digest),
        label=listing(integer(0)),
        prediction=listing(integer(0)),
        radius=listing(number()),
        route=listing(integer(0)),
    ),
    summary=record(
        points=integer(1),
        correct=integer(0),
        certified=integer(0),
        certified_at=listing(record(eps=number(), count=integer(0))),
    ),
)


_MEASURE = record(count=integer(1), samples_sha256=digest, weights_sha256=optional(digest))
W1 = record(
    **COMMON,
    claim=record(
        property=choice("lower bound of Wasserstein-1"),
        norm=choice(*NORMS),
        units=choice("raw input"),
        measures=choice("the two weighted samples stored, weights divided by their sum"),
        arithmetic=choice("real"),
        value=number(),
    ),
    routes=_routes(network=number()),
    data=record(file=file_name, file_sha256=digest, source=text),
    x=_MEASURE,
    y=_MEASURE,
)
KINDS = {"classification": CLASSIFICATION, "w1_lower_bound": W1}


def parse_certificate(data: bytes) -> dict[str, Any]:
    """Parse, check the digest, then the structure. Raises Invalid or Unsupported."""
    value = parse(data, "certificate")
    if not isinstance(value, dict):
        raise Invalid("certificate", "expected a JSON object")
    if "digest" in value and value["digest"] != content_digest(value):
        raise Invalid("digest", "the contents were changed after the certificate was issued")
    if value.get("format") != FORMAT:
        raise Unsupported("format", f"{value.get('format')!r:.40}; known is {FORMAT!r}")
    version = value.get("version")
    if type(version) is not int or version != VERSION:
        again = "; issue it again: lipsort certify RUN replace=true" if version == 1 else ""
        raise Unsupported("version", f"{version!r:.40}; known is {VERSION}{again}")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Unsupported("kind", f"{kind!r:.40}; known are {', '.join(KINDS)}")
    return dict(KINDS[kind](value, ""))


def content_digest(certificate: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything but the digest itself."""
    return sha256(canonical({key: item for key, item in certificate.items() if key != "digest"}))
