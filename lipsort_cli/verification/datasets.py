"""Data sets of a user's own, for ``lipsort verify --data``: ``.npz``, IDX images, folders of them.

Nothing of a proof rests on this: what is read must have the SHA-256 that the certificate states.
"""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.errors import Misused, Refused, require
from lipsort_cli.verifier.tensors import Points, digest_array, pixels, read_bytes

UNPACKED, TIMES = 1 << 26, 20
"""A compressed file may unpack to 64 MiB, and to so many times its size more."""
IMAGES = "t10k-images-idx3-ubyte"  # name of the file of test images of MNIST and its relatives


def images_in(folder: Path) -> Path:
    """The IDX file of test images in ``folder``, or where torchvision puts it."""
    places = ("", "raw", "MNIST/raw", "FashionMNIST/raw")
    files = [folder / place / (IMAGES + end) for place in places for end in ("", ".gz")]
    reason = (
        f"found {folder}, a folder without {IMAGES} (also looked for in {', '.join(places[1:])}, "
        "and as .gz); allowed: a folder that holds it, an IDX file of images, or an .npz file"
    )
    found = [file for file in files if file.is_file()]
    require(found, "--data", reason, Misused)
    return found[0]


def external_points(path: Path) -> Points:
    """Points of a data set's file: ``.npz`` (``x_test``, ``y_test``) or IDX images."""
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
        _require_room(unpacked, path.stat().st_size)
        with np.load(path, allow_pickle=False) as arrays:
            inputs, labels = arrays["x_test"], arrays["y_test"]  # the rest may exceed the memory
    else:
        reason = f"{path.name}: known are .npz, IDX image files and their folders"
        require("images-idx3" in path.name, "--data", reason)
        other = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
        inputs, labels = _idx(path)[:, None], _idx(other)
    inputs = pixels(inputs) if inputs.dtype == np.uint8 else inputs
    real = inputs.dtype.newbyteorder("=") in (np.float32, np.float64)
    reason = f"{path}: expected x_test as floats or uint8 and y_test as integers"
    require(real and np.issubdtype(labels.dtype, np.integer), "--data", reason)
    same = labels.shape == inputs.shape[:1] != ()
    require(same, "--data", f"{path}: inputs and labels differ in number")
    return Points(inputs, labels.astype(np.int64))


def _require_room(unpacked: int, size: int) -> None:
    reason = f"unpacks to more than {UNPACKED} bytes and {TIMES} times its own size"
    require(unpacked <= UNPACKED + TIMES * size, "--data", f"{reason}; store it uncompressed")


def _idx(path: Path) -> NDArray[np.uint8]:
    data = read_bytes(path, "--data")
    if path.suffix == ".gz":
        with gzip.open(io.BytesIO(data)) as stream:
            unpacked = stream.read(UNPACKED + TIMES * len(data) + 1)
        _require_room(len(unpacked), len(data))
        data = unpacked
    start = 4 + 4 * data[3] if len(data) > 3 else 4
    known = data[:3] == b"\x00\x00\x08" and len(data) >= start
    require(known, "--data", f"{path} is not an IDX file of bytes")
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    require(len(data) - start == math.prod(shape), "--data", f"{path} is truncated or too long")
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


def certified_points(path: Path, certificate: dict[str, Any]) -> Points:
    """The points at the certificate's indices. Raises Misused unless they are those certified."""
    index, stored = certificate["points"]["index"], certificate["data"]
    # Each once, or a short list of numbers would ask for more than the data set holds.
    require(len(set(index)) == len(index), "points.index", "a data index occurs twice")
    try:
        found = external_points(path)
    except Refused as fault:
        raise Misused(fault.field, fault.reason) from None
    except Exception as error:  # whatever a damaged file makes its reader stumble over
        raise Misused("--data", f"{path}: {str(error)[:200]}") from None
    reason = f"the certificate names points beyond the {len(found.inputs)} that {path} holds"
    require(max(index, default=0) < len(found.inputs), "--data", reason, Misused)
    inputs, labels = found.inputs[index], found.labels[index]
    flat = inputs.reshape(len(inputs), math.prod(inputs.shape[1:]))
    if digest_array(flat) == stored["inputs_sha256"]:
        inputs = flat  # as networks of flat inputs took the pictures when it was issued
    points = Points(inputs, labels)
    for name, column in points._asdict().items():
        reason = f"the {name} of {path} at the certificate's indices, of shape "
        reason += f"{list(column.shape)}, are not those certified; allowed: the data set that it "
        reason += f"was issued for ({stored['source']!r:.200}), as the network takes it or pictures"
        require(digest_array(column) == stored[f"{name}_sha256"], "--data", reason, Misused)
    return points
