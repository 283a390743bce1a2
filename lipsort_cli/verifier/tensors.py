"""Reading safetensors files strictly: a length, a JSON header, raw numbers. Nothing executes."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import Invalid, Unsupported, require
from .strictjson import parse, sha256

LARGEST_FILE = 3 << 28  # bytes of a network or data file that are read at most (768 MiB)

DTYPES = {"F32": "<f4", "F64": "<f8", "U8": "|u1", "I64": "<i8"}


def read_bytes(path: Path, where: str, largest: int = LARGEST_FILE) -> bytes:
    """The contents of a regular file. Raises :class:`Invalid` when absent, empty or too large."""
    try:
        require(path.is_file(), where, f"no file at {path}")
        size = path.stat().st_size
        require(0 < size <= largest, where, f"{path} holds {size} bytes; allowed: 1 to {largest}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise Invalid(where, f"cannot read {path}: {error}") from None


def parse_tensors(data: bytes, where: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a safetensors file; every byte must be accounted for."""
    require(len(data) >= 8, where, "too short for a safetensors file")
    start = 8 + int.from_bytes(data[:8], "little")
    require(start <= min(len(data), 100_000_008), where, "the header is longer than the file")
    header = parse(data[8:start], where)
    require(isinstance(header, dict), where, "the header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    known = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
    require(known, where, "the metadata are not strings")
    body = memoryview(data)[start:]
    found = {name: _tensor(name, entry, body, where) for name, entry in header.items()}
    position = 0
    for first, last in sorted(span for _, span in found.values()):
        require(first == position, where, "tensors overlap or leave gaps")
        position = last
    require(position == len(body), where, "bytes after the last tensor")
    return {name: array for name, (array, _) in found.items()}, metadata


def _tensor(
    name: str, entry: Any, body: memoryview, where: str
) -> tuple[np.ndarray, tuple[int, int]]:
    named = f"tensor {name!r:.60}"
    known = isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}
    require(known, where, f"{named} has a malformed entry")
    shape, offsets, kind = entry["shape"], entry["data_offsets"], entry["dtype"]
    known = isinstance(kind, str) and kind in DTYPES
    require(known, where, f"{named} has dtype {kind!r:.20}", Unsupported)
    sound = _sizes(shape) and _sizes(offsets) and len(offsets) == 2 and len(shape) <= 8
    require(sound, where, f"{named} has a malformed shape or offset")
    (start, stop), dtype = offsets, np.dtype(DTYPES[kind])
    fits = start <= stop <= len(body) and stop - start == math.prod(shape) * dtype.itemsize
    require(fits, where, f"{named}: offsets do not fit its shape")
    return np.frombuffer(body[start:stop], dtype=dtype).reshape(shape), (start, stop)


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def digest_array(array: np.ndarray) -> str:
    """SHA-256 of dtype, shape and little-endian contents of an array."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    head = f"{little.dtype.kind}{little.dtype.itemsize}:{','.join(map(str, little.shape))};"
    return sha256(head.encode("ascii") + little.tobytes())


class Points(NamedTuple):
    """``inputs`` float ``[N, *shape]`` and ``labels`` int64 ``[N]`` that a certificate covers."""

    inputs: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]


def pixels(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``float32(k) / float32(255)``: how eight-bit pixels become inputs in [0, 1]."""
    return values.astype(np.float32) / np.float32(255)


def stored_points(data: bytes, encoding: str, where: str = "data.file") -> Points:
    """Points of a certificate's own data file: tensors ``inputs`` and ``labels``."""
    tensors, _ = parse_tensors(data, where)
    known = set(tensors) == {"inputs", "labels"}
    require(known, where, "expected the tensors 'inputs' and 'labels'")
    inputs, labels = tensors["inputs"], tensors["labels"]
    kind = np.dtype(encoding.removesuffix("/255"))
    fits = inputs.dtype == kind and labels.dtype == np.int64 and labels.ndim == 1
    require(fits, where, f"tensors do not match the encoding {encoding!r}")
    fits = inputs.ndim >= 2 and len(inputs) == len(labels)
    require(fits, where, "inputs and labels differ in number")
    return Points(pixels(inputs) if encoding == "uint8/255" else inputs, labels)


def input_digests(inputs: NDArray[np.floating[Any]]) -> list[str]:
    """SHA-256 of the little-endian contents of every input."""
    little = np.ascontiguousarray(inputs, dtype=inputs.dtype.newbyteorder("<"))
    return [sha256(row.tobytes()) for row in little]
