"""The inputs that a certificate covers: read from beside it, or from a data set of the user's."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import Invalid
from .strictjson import sha256
from .tensors import parse_tensors, read_bytes

LARGEST_UNPACKED = 1 << 31
"""Bytes that a compressed file may unpack to (2 GiB)."""

IMAGES = "t10k-images-idx3-ubyte"
"""Name of the file of test images of MNIST and its relatives."""


class Points(NamedTuple):
    """``inputs`` float ``[N, *shape]`` and ``labels`` int64 ``[N]``."""

    inputs: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]


def pixels(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``float32(k) / float32(255)``: how eight-bit pixels become inputs in [0, 1]."""
    return values.astype(np.float32) / np.float32(255)


def stored_points(data: bytes, encoding: str, where: str) -> Points:
    """Points of a certificate's own data file: tensors ``inputs`` and ``labels``."""
    tensors, _ = parse_tensors(data, where)
    if set(tensors) != {"inputs", "labels"}:
        raise Invalid(where, "expected the tensors 'inputs' and 'labels'")
    inputs, labels = tensors["inputs"], tensors["labels"]
    kinds = {"uint8/255": np.uint8, "float32": np.float32, "float64": np.float64}
    if inputs.dtype != kinds[encoding] or labels.dtype != np.int64 or labels.ndim != 1:
        raise Invalid(where, f"tensors do not match the encoding {encoding!r}")
    if len(inputs) != len(labels) or inputs.ndim < 2:
        raise Invalid(where, "inputs and labels differ in number")
    return Points(pixels(inputs) if encoding == "uint8/255" else inputs, labels)


def images_in(folder: Path) -> Path | None:
    """The IDX file of test images in ``folder`` or where torchvision puts it; None without one."""
    candidates = (
        folder / place / f"{IMAGES}{suffix}"
        for place in ("", "raw", "MNIST/raw", "FashionMNIST/raw")
        for suffix in ("", ".gz")
    )
    return next((path for path in candidates if path.is_file()), None)


def external_points(path: Path, where: str) -> Points:
    """Points of a data set: ``.npz`` (``x_test``, ``y_test``), IDX images, or a folder of IDX."""
    if path.is_dir():
        found = images_in(path)
        if found is None:
            raise Invalid(where, f"no {IMAGES} under {path}")
        path = found
    if path.suffix == ".npz":
        return _npz(path, where)
    if "images-idx3" in path.name:
        labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
        inputs = _idx(path, where)
        return Points(pixels(inputs)[:, None], _idx(labels, where).astype(np.int64))
    raise Invalid(where, f"{path.name}: known are .npz, IDX image files and their folders")


def _npz(path: Path, where: str) -> Points:
    contents = io.BytesIO(read_bytes(path, where))
    try:
        unpacked = sum(item.file_size for item in zipfile.ZipFile(contents).infolist())
        if unpacked > LARGEST_UNPACKED:
            raise ValueError(f"unpacks to {unpacked} bytes, more than {LARGEST_UNPACKED}")
        with np.load(contents, allow_pickle=False) as arrays:
            inputs, labels = arrays["x_test"], arrays["y_test"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Invalid(where, f"{path}: {str(error)[:200]}") from None
    if inputs.dtype == np.uint8:
        inputs = pixels(inputs)
    if inputs.dtype not in (np.float32, np.float64) or not np.issubdtype(labels.dtype, np.integer):
        raise Invalid(where, f"{path}: expected x_test as floats or uint8 and y_test as integers")
    if labels.shape != inputs.shape[:1]:
        raise Invalid(where, f"{path}: x_test and y_test differ in number")
    return Points(inputs, labels.astype(np.int64))


def _idx(path: Path, where: str) -> NDArray[np.uint8]:
    data = read_bytes(path, where)
    if path.suffix == ".gz":
        try:
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(LARGEST_UNPACKED)
        except (OSError, EOFError, zlib.error) as error:
            raise Invalid(where, f"{path}: {error}") from None
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise Invalid(where, f"{path} is not an IDX file of bytes")
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    start = 4 + 4 * data[3]
    count = 1
    for size in shape:
        count *= size
    if len(data) - start != count:
        raise Invalid(where, f"{path} is truncated or too long")
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


def input_digests(inputs: NDArray[np.floating[Any]]) -> list[str]:
    """SHA-256 of the little-endian contents of every input."""
    little = np.ascontiguousarray(inputs, dtype=inputs.dtype.newbyteorder("<"))
    return [sha256(row.tobytes()) for row in little]
