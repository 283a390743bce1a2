"""What a forger can do to the files of a certificate; no code of the package is used.

Digests are recomputed after every change, as anyone can: integrity alone refuses nothing here.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Place = tuple[Any, ...]
CERTIFICATE = "certificate.json"


class Raw(str):
    """Text that stands in the JSON as it is, where no Python value has that form."""


def leaves(value: Any, place: Place = ()) -> Iterator[Place]:
    """Places of everything that is no object or list with contents."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*place, index))
    else:
        yield place


def containers(value: Any, place: Place = ()) -> Iterator[Place]:
    """Places of all objects and lists."""
    if isinstance(value, dict | list):
        yield place
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from containers(item, (*place, key))


def at(value: Any, place: Place) -> Any:
    for key in place:
        value = value[key]
    return value


def put(certificate: Any, place: Place, value: Any) -> Any:
    """A copy with one place replaced."""
    if not place:
        return value
    result = copy.deepcopy(certificate)
    at(result, place[:-1])[place[-1]] = value
    return result


def canonical(value: Any) -> bytes:
    """Sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def signed(certificate: Any) -> bytes:
    """The file's bytes with a fresh digest of whatever a lenient reader makes of it."""
    if not isinstance(certificate, dict):
        return _text(certificate).encode()
    content = {key: item for key, item in certificate.items() if key != "digest"}
    try:
        digest = hashlib.sha256(canonical(json.loads(_text(content)))).hexdigest()
    except (ValueError, RecursionError):
        digest = "0" * 64
    # Anything that this key's own value says about itself is a forger's choice too.
    return _text({**content, "digest": certificate.get("digest_", digest)}).encode()


def _text(value: Any) -> str:
    raws: list[str] = []

    def mark(item: Any) -> Any:
        if isinstance(item, Raw):
            raws.append(str(item))
            return f"@raw{len(raws) - 1}@"
        if isinstance(item, dict):
            return {key: mark(entry) for key, entry in item.items()}
        return [mark(entry) for entry in item] if isinstance(item, list) else item

    if not _holds_raw(value):
        return json.dumps(value)
    text = json.dumps(mark(value))
    for number, raw in enumerate(raws):
        text = text.replace(f'"@raw{number}@"', raw)
    return text


def _holds_raw(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_raw(item) for item in value.values())
    return isinstance(value, Raw) or (isinstance(value, list) and any(map(_holds_raw, value)))


def store(folder: Path, certificate: Any) -> None:
    (folder / CERTIFICATE).write_bytes(signed(certificate))


def load(folder: Path) -> Any:
    return json.loads((folder / CERTIFICATE).read_bytes())


WORDS = (
    "",
    "0x0.0p+0",
    "-0x0.0p+0",
    "0x1p-1074",
    "0x1.fffffffffffffp+1023",
    "0x1p+1024",
    "inf",
    "nan",
    "1e400",
    "0x1.8p+0 ",
    "0x1.80p+0",
    "٣",
    "\x00",
    "l1",
    "l2",
    "linf",
    "real",
    "binary64",
    "binary32",
    "float64",
    "float32",
    "uint8/255",
    "../model.safetensors",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    1 << 31,
    1 << 63,
    1 << 64,
    10**3000,
    0.0,
    -0.0,
    0.5,
    [],
    {},
    [[]],
    Raw("NaN"),
    Raw("Infinity"),
    Raw("1e400"),
    Raw("-1e-400"),
    Raw("1" + "0" * 5000),
    Raw("01"),
    Raw('{"a":1,"a":2}'),
)


def variants(old: Any, others: tuple[Any, ...]) -> Iterator[Any]:
    """Other values for a leaf: strange ones, near ones, and those of other leaves."""
    yield from VALUES
    yield from WORDS
    yield from others
    if isinstance(old, str) and old.lstrip("-").startswith("0x"):
        number = float.fromhex(old)
        for new in (
            *(number * factor for factor in (1 + 2.0**-40, 1 - 2.0**-40, 2.0, 0.5, -1.0, 1e30)),
            float(np.nextafter(number, np.inf)),
            float(np.nextafter(number, -np.inf)),
            number + 2.0**-30,
        ):
            if np.isfinite(new):
                yield new.hex()
    elif isinstance(old, str):
        yield from (old.upper(), old + " ", old[:-1], old[::-1], "0" * 64, [old])
    elif type(old) is int:
        yield from (old + 1, old - 1, float(old), str(old), bool(old), -old)


def pack(tensors: dict[str, np.ndarray], metadata: Any = None, trailing: bytes = b"") -> bytes:
    """A safetensors file, written plainly; ``metadata`` may be anything."""
    kinds = {"f4": "F32", "f8": "F64", "u1": "U8", "i8": "I64", "f2": "F16", "i4": "I32"}
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    body = b""
    for name, array in tensors.items():
        contents = np.ascontiguousarray(array).tobytes()
        kind = kinds[f"{array.dtype.kind}{array.dtype.itemsize}"]
        span = [len(body), len(body) + len(contents)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": span}
        body += contents
    return framed(json.dumps(header).encode(), body + trailing)


def framed(header: bytes, body: bytes, length: int | None = None) -> bytes:
    """A header, what it says its length is, and a body."""
    stated = len(header) if length is None else length
    return stated.to_bytes(8, "little") + header + body


def unpack(contents: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and body of a safetensors file."""
    length = int.from_bytes(contents[:8], "little")
    return json.loads(contents[8 : 8 + length]), contents[8 + length :]


def array_digest(array: np.ndarray) -> str:
    """SHA-256 over dtype, shape and little-endian contents, as docs/certificates.md has it."""
    shape = ",".join(map(str, array.shape))
    head = f"{array.dtype.kind}{array.dtype.itemsize}:{shape};".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
