"""Rows of an array on disk, read on demand: never more in memory than is asked for."""

from __future__ import annotations

import math
import os
import tempfile
import weakref
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.data.options import few
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import refuse_bomb, resolved

MEMORY = 512 * 2**20
"""Bytes up to which a converted file is held in memory."""
CHUNK = 4096
"""Rows converted at a time."""
_BLOCK = 2**24
"""Bytes of an archive unpacked at a time."""


class RowFile:
    """An open file that holds an array [n, ...] in C order from ``offset`` on.

    Indexing with a slice, a row number or an integer array reads just these rows. Unlike a memory
    map, a file that is cut short or fails while it is in use gives an error, not a dead process;
    a file that is deleted stays readable, since it is open.
    """

    def __init__(
        self, file: IO[bytes], name: str, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int
    ) -> None:
        self._file = file
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self._offset = offset
        # Whoever leaves the rows closes the file, and Python has no reason to warn.
        weakref.finalize(self, file.close)
        self._row_bytes = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def _read(self, first: int, count: int) -> NDArray[Any]:
        wanted = count * self._row_bytes
        start = self._offset + first * self._row_bytes
        try:
            data = os.pread(self._file.fileno(), wanted, start)
            while len(data) < wanted:
                more = os.pread(self._file.fileno(), wanted - len(data), start + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise LipsortError(f"cannot read {self.name}: {error.strerror or error}") from error
        if len(data) < wanted:
            raise LipsortError(
                f"{self.name}: the file ends within row {first + len(data) // self._row_bytes}; "
                "it was cut short or changed while it was read"
            )
        return np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            if step == 1:
                return self._read(first, max(last - first, 0))
            index = np.arange(first, last, step)
        if np.ndim(index) == 0:
            return self[np.array([index])][0]
        rows = np.asarray(index)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        result = np.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        breaks = np.flatnonzero(np.diff(rows[order]) != 1) + 1
        for run in np.split(order, breaks) if len(rows) else ():
            first = int(rows[run[0]])
            if not 0 <= first <= int(rows[run[-1]]) < len(self):
                raise IndexError(f"row {first} of {len(self)}")
            result[run] = self._read(first, len(run))
        return result


class Spool:
    """Rows collected in an anonymous temporary file, then read back.

    What fits in :data:`MEMORY` bytes becomes an array; the rest stays on disk as a
    :class:`RowFile`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._file = tempfile.TemporaryFile(prefix="lipsort-")  # noqa: SIM115 (RowFile owns it)
        self._rows = 0
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.float64)

    def add(self, rows: NDArray[Any]) -> None:
        """Append rows [k, ...], of the same shape and dtype at every call."""
        if self._rows == 0:
            self._shape, self._dtype = rows.shape[1:], rows.dtype
        try:
            self._file.write(np.ascontiguousarray(rows).tobytes())
        except OSError as error:
            raise LipsortError(
                f"{self._name} does not fit in the temporary folder {tempfile.gettempdir()}: "
                f"{error.strerror or error}; set TMPDIR to a folder with room, or convert to .npy"
            ) from error
        self._rows += len(rows)

    def finish(self) -> NDArray[Any] | RowFile:
        """All rows [n, ...]."""
        self._file.flush()
        rows = RowFile(self._file, self._name, (self._rows, *self._shape), self._dtype, 0)
        size = self._rows * int(np.prod(self._shape, dtype=np.int64)) * self._dtype.itemsize
        return rows[:] if size <= MEMORY else rows


def open_npy(path: Path) -> RowFile | NDArray[Any]:
    """The array of a ``.npy`` file: its rows on demand; in memory if stored column by column."""
    file = path.open("rb")
    shape, fortran, dtype = _npy_header(file, path.stat().st_size)
    if fortran or len(shape) < 1:
        file.close()
        return np.asarray(np.load(path, allow_pickle=False))
    return RowFile(file, str(path), shape, dtype, file.tell())


@contextmanager
def opened_npz(path: Path) -> Iterator[tuple[zipfile.ZipFile, list[str]]]:
    """An ``.npz`` archive, and the names of its arrays.

    Raises:
        UsageError: it unpacks to far more than it holds.
    """
    with zipfile.ZipFile(path) as archive:
        refuse_bomb(path, sum(member.file_size for member in archive.infolist()))
        yield archive, [name.removesuffix(".npy") for name in archive.namelist()]


def read_member(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    """The whole array ``key`` of an open archive.

    Raises:
        ValueError: its header states another size than the archive.
    """
    member = archive.getinfo(f"{key}.npy")
    with archive.open(member) as file:
        _npy_header(file, member.file_size)
    with archive.open(member) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def place_of(location: str) -> tuple[Path, str | None]:
    """The file of ``FILE`` or ``FILE.npz:NAME``, and the name of its array."""
    head, colon, tail = location.rpartition(":")
    if colon and head.lower().endswith(".npz"):
        return resolved(head), tail
    return resolved(location), None


def open_npz(path: Path, key: str | None) -> RowFile | NDArray[Any]:
    """One array of an ``.npz`` archive: ``key``, or the only one beside ``weights``."""
    with opened_npz(path) as (archive, names):
        if key is None:
            others = [name for name in names if name != "weights"]
            if len(others) != 1:
                raise UsageError(
                    f"{path}: holds the arrays {few(names) or '(none)'}; say which one: {path}:NAME"
                )
            key = others[0]
        if key not in names:
            raise UsageError(f"{path}: found no array {key!r}; it holds {few(names)}")
        stored = archive.getinfo(f"{key}.npy")
        with archive.open(stored) as member:
            shape, fortran, dtype = _npy_header(member, stored.file_size)
            if fortran or len(shape) < 1 or stored.file_size <= _BLOCK:
                return read_member(archive, key)
            spool = Spool(f"{path}:{key}")
            row = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
            step = max(1, _BLOCK // max(row, 1))
            for start in range(0, shape[0], step):
                count = min(step, shape[0] - start)
                data = member.read(count * row)
                spool.add(np.frombuffer(data, dtype).reshape(count, *shape[1:]))
    return spool.finish()


def _npy_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and dtype, as the header of ``size`` bytes states them."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    if min(shape, default=0) < 0 or not dtype.itemsize:
        raise ValueError(f"its header states the shape {shape} of {dtype}")
    expected = file.tell() + math.prod(shape) * dtype.itemsize
    if size < expected:
        raise ValueError(f"it is cut short: {size} bytes of {expected}")
    return shape, fortran, dtype
