"""Samples of a distribution: rows of a file, checked once, read when they are needed."""

from __future__ import annotations

import hashlib
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.data.readers import CHUNK, READERS, Rows, read_images
from lipsort_cli.errors import LipsortError, UsageError


@dataclass(frozen=True)
class Samples:
    """Points [n, ...] with optional weights [n], finite throughout.

    ``single`` says that every coordinate is a float32. Where it is not, :meth:`rows` rounds, for
    training; :meth:`exact` never does, and is what bounds are computed from.
    ``low`` and ``high`` enclose every coordinate.
    """

    name: str
    points: Rows
    weights: NDArray[np.float64] | None
    single: bool
    low: float
    high: float
    sha256: str

    def __len__(self) -> int:
        return len(self.points)

    @property
    def dim(self) -> int:
        """Coordinates a point."""
        return int(np.prod(self.points.shape[1:], dtype=np.int64))

    def rows(self, index: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Points by number, rounded to float32 [k, d]."""
        picked = np.asarray(self.points[index])
        return picked.reshape(len(picked), -1).astype(np.float32)

    def exact(self, index: slice | NDArray[np.int64]) -> NDArray[np.float32] | NDArray[np.float64]:
        """Points by number as they are: float32 [k, d] if all are, else float64 [k, d]."""
        if self.single:
            return self.rows(index)
        picked = np.asarray(self.points[index])
        return picked.reshape(len(picked), -1).astype(np.float64)


def load_samples(location: str, weights: str | None = None, *, key: str = "p") -> Samples:
    """Open and check a sample file.

    Args:
        location: ``.npy``, ``.npz`` (or ``FILE.npz:NAME``), ``.csv``, ``.parquet``, or a folder of
            images. Points are rows [n, ...]; a one-dimensional array is n points on the line.
        weights: a file of n weights >= 0, not all zero, in any of these formats; without it, an
            array ``weights`` of an ``.npz`` is taken.
        key: of the configuration (``distribution.<key>``), for messages.

    Raises:
        UsageError: missing, unreadable, empty, a single point, not numeric, NaN or infinite.
    """
    option = f"distribution.{key}"
    points = _read(location, option)
    path, name = _split(location)
    if weights is None and path.suffix == ".npz" and name != "weights" and _has_weights(path):
        weights = f"{path}:weights"
    return make_samples(
        points,
        None if weights is None else _weights(weights, len(points), f"{option}_weights"),
        name=location,
        option=option,
    )


def make_samples(
    points: Rows, weights: NDArray[np.float64] | None, *, name: str, option: str = "samples"
) -> Samples:
    """Check rows [n, ...] that are there already; see :func:`load_samples`."""
    if points.dtype.kind not in "fiub":
        raise UsageError(f"{option}: {name} holds {points.dtype} values; allowed: numbers")
    if len(points.shape) == 1 and isinstance(points, np.ndarray):
        points = points[:, None]
    if len(points) < 2 or int(np.prod(points.shape[1:], dtype=np.int64)) == 0:
        raise UsageError(
            f"{option}: {name} holds {len(points)} points of shape {list(points.shape[1:])}; "
            "at least two points, of at least one coordinate, are needed"
        )
    digest = hashlib.sha256(repr((points.shape, points.dtype.str)).encode())
    low, high, single = math.inf, -math.inf, True
    step = _step(int(np.prod(points.shape[1:], dtype=np.int64)))
    for start in range(0, len(points), step):
        rows = np.ascontiguousarray(points[start : start + step])
        digest.update(rows.tobytes())
        exact = rows.reshape(len(rows), -1).astype(np.float64)
        with np.errstate(over="ignore"):
            rounded = exact.astype(np.float32)
        if not np.isfinite(rounded).all():
            row, column = np.argwhere(~np.isfinite(rounded))[0]
            raise UsageError(
                f"{option}: {name} holds {exact[row, column]} in row {start + row}, coordinate "
                f"{column}; allowed: finite numbers within float32's range"
            )
        low, high = min(low, float(exact.min())), max(high, float(exact.max()))
        single = single and bool((rounded == exact).all())
    if weights is not None:
        digest.update(weights.tobytes())
    return Samples(
        name,
        points,
        weights,
        single,
        low,
        high,
        digest.hexdigest(),
    )


def centre_and_spread(
    samples: Samples, index: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float]:
    """Plain mean [d] of the rows ``index``, and the root of their mean squared distance from it.

    Of these rows alone: what shapes a critic must not depend on rows that it is judged on.
    """
    total = np.zeros(samples.dim)
    squares = 0.0
    first = samples.exact(index[:1]).astype(np.float64)
    step = _step(samples.dim)
    for start in range(0, len(index), step):
        rows = samples.exact(index[start : start + step]).astype(np.float64)
        total += rows.sum(0)
        squares += float(np.square(rows - first).sum())
    centre: NDArray[np.float64] = total / len(index)
    variance = squares / len(index) - float(np.square(centre - first).sum())
    return centre, math.sqrt(max(variance, 0.0))


def _step(dim: int) -> int:
    """Rows of ``dim`` coordinates that are looked at at a time."""
    return max(1, min(CHUNK, 2**25 // max(1, dim)))


def _split(location: str) -> tuple[Path, str | None]:
    """``FILE.npz:NAME`` into its two parts."""
    head, colon, tail = location.rpartition(":")
    if colon and head.lower().endswith(".npz"):
        return Path(head).expanduser(), tail
    return Path(location).expanduser(), None


def _read(location: str, option: str) -> Rows:
    path, key = _split(location)
    if not path.exists():
        raise UsageError(f"{option}: found {location}; no such file or folder")
    reader = read_images if path.is_dir() else READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{option}: found {location}; allowed: {', '.join(READERS)}, or a folder of images"
        )
    try:
        rows = reader(path, key)
    except LipsortError as error:
        raise type(error)(f"{option}: {error}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise UsageError(
            f"{option}: {location} cannot be read as {path.suffix}: {error}"
        ) from error
    if not rows.shape:
        raise UsageError(f"{option}: {location} holds a single number; allowed: rows [n, ...]")
    return rows


def _has_weights(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return "weights.npy" in archive.namelist()


def _weights(location: str, count: int, option: str) -> NDArray[np.float64]:
    values: Any = _read(location, option)
    array = np.asarray(values[:], dtype=np.float64)
    if array.size != count:
        raise UsageError(f"{option}: {location} holds {array.size} weights for {count} points")
    array = array.reshape(-1)
    # A sum that overflows would turn every share into 0 or NaN.
    with np.errstate(over="ignore"):
        total = array.sum()
    if not np.isfinite(total) or array.min() < 0 or total <= 0:
        raise UsageError(
            f"{option}: {location} holds weights from {array.min()} to {array.max()}; "
            "allowed: finite, >= 0, not all zero, of finite sum"
        )
    return array
