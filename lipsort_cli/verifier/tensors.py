"""Reading safetensors files strictly: a length, a JSON header, raw numbers. Nothing executes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from .errors import Invalid, Unsupported
from .strictjson import parse, sha256

LARGEST_FILE = 3 << 28
"""Bytes of a network or data file that are read at most (768 MiB)."""

DTYPES = {"F32": "<f4", "F64": "<f8", "U8": "|u1", "I64": "<i8"}


def read_bytes(path: Path, where: str, largest: int = LARGEST_FILE) -> bytes:
    """The contents of a regular file. Raises :class:`Invalid` when absent or too large."""
    try:
        if not path.is_file():
            raise Invalid(where, f"no file at {path}")
        size = path.stat().st_size
        if size > largest:
            raise Invalid(where, f"{path} holds {size} bytes, more than {largest}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise Invalid(where, f"cannot read {path}: {error}") from None


def parse_tensors(data: bytes, where: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a safetensors file; every byte must be accounted for."""
    if len(data) < 8:
        raise Invalid(where, "too short for a safetensors file")
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8 or length > 100_000_000:
        raise Invalid(where, "the header is longer than the file")
    header = parse(data[8 : 8 + length], where)
    if not isinstance(header, dict):
        raise Invalid(where, "the header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Invalid(where, "the metadata are not strings")
    body = memoryview(data)[8 + length :]
    tensors: dict[str, np.ndarray] = {}
    spans = []
    for name, entry in header.items():
        tensors[name], span = _tensor(name, entry, body, where)
        spans.append(span)
    position = 0
    for start, stop in sorted(spans):
        if start != position:
            raise Invalid(where, "tensors overlap or leave gaps")
        position = stop
    if position != len(body):
        raise Invalid(where, "bytes after the last tensor")
    return tensors, metadata


def _tensor(
    name: str, entry: Any, body: memoryview, where: str
) -> tuple[np.ndarray, tuple[int, int]]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Invalid(where, f"tensor {name!r:.60} has a malformed entry")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if entry["dtype"] not in DTYPES:
        raise Unsupported(where, f"tensor {name!r:.60} has dtype {entry['dtype']!r:.20}")
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2 or len(shape) > 8:
        raise Invalid(where, f"tensor {name!r:.60} has a malformed shape or offset")
    dtype = np.dtype(DTYPES[entry["dtype"]])
    start, stop = offsets
    if not start <= stop <= len(body) or stop - start != math.prod(shape) * dtype.itemsize:
        raise Invalid(where, f"tensor {name!r:.60}: offsets do not fit its shape")
    array = np.frombuffer(body[start:stop], dtype=dtype).reshape(shape)
    return array, (start, stop)


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def digest_array(array: np.ndarray) -> str:
    """SHA-256 of dtype, shape and little-endian contents of an array."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    head = f"{little.dtype.kind}{little.dtype.itemsize}:{','.join(map(str, little.shape))};"
    return sha256(head.encode("ascii") + little.tobytes())
