"""Data sets of a user's own, for ``--data``: ``.npz``, IDX images, folders of them."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Points, pixels
from .errors import Invalid, Misused, Refused
from .tensors import digest_array, read_bytes

UNPACKED, TIMES = 1 << 26, 20
"""A compressed file may unpack to 64 MiB, and to so many times its size more."""

IMAGES = "t10k-images-idx3-ubyte"
"""Name of the file of test images of MNIST and its relatives."""


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


def _require_room(unpacked: int, size: int) -> None:
    if unpacked > UNPACKED + TIMES * size:
        reason = f"unpacks to more than {UNPACKED} bytes and {TIMES} times its own size"
        raise ValueError(f"{reason}; store it uncompressed")


def _npz(path: Path, where: str) -> Points:
    if not path.is_file():
        raise Invalid(where, f"no file at {path}")
    try:  # the test set alone is read: the rest of the archive may be larger than the memory
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
        _require_room(unpacked, path.stat().st_size)
        with np.load(path, allow_pickle=False) as arrays:
            inputs, labels = arrays["x_test"], arrays["y_test"]
    except (MemoryError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile,
            zlib.error) as error:  # fmt: skip
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
                unpacked = stream.read(UNPACKED + TIMES * len(data) + 1)
            _require_room(len(unpacked), len(data))
            data = unpacked
        except (OSError, EOFError, ValueError, zlib.error) as error:
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


def certified_points(certificate: dict[str, Any], data: Path) -> Points:
    """The points at the certificate's indices. Raises Misused unless they are those certified."""
    try:
        found = external_points(data, "--data")
    except Refused as fault:
        raise Misused(fault.field, fault.reason) from None
    index = certificate["points"]["index"]
    if max(index, default=0) >= len(found.inputs):
        reason = f"{data} holds {len(found.inputs)} points, the certificate names {max(index)}"
        raise Misused("--data", reason)
    points = Points(found.inputs[index], found.labels[index])
    stored = certificate["data"]
    for name, column in (("inputs", points.inputs), ("labels", points.labels)):
        if digest_array(column) != stored[f"{name}_sha256"]:
            raise Misused(
                "--data",
                f"the {name} of {data} at the certificate's indices are not those certified; "
                f"allowed: the data set that it was issued for ({stored['source']!r:.200})",
            )
    return points
