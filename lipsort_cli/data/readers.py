"""One reader a file format: each gives the rows of a sample file, streamed where they are many."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.data.rowfile import RowFile, Spool, open_npy
from lipsort_cli.errors import UsageError

Rows = NDArray[Any] | RowFile

MEMORY = 512 * 2**20
"""Bytes up to which a converted file is held in memory."""
CHUNK = 4096
"""Rows converted at a time."""
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


def read_npy(path: Path, key: str | None) -> Rows:
    """A ``.npy`` array."""
    return open_npy(path)


def read_npz(path: Path, key: str | None) -> Rows:
    """One array of an ``.npz`` archive: ``key``, or the only one beside ``weights``."""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if key is None:
            others = [name for name in names if name != "weights"]
            if len(others) != 1:
                raise UsageError(
                    f"{path}: holds the arrays {', '.join(names) or '(none)'}; "
                    f"say which one: {path}:NAME"
                )
            key = others[0]
        if key not in names:
            raise UsageError(f"{path}: found no array {key!r}; it holds {', '.join(names)}")
        with archive.open(f"{key}.npy") as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(member)
            if dtype.hasobject:
                raise ValueError("it holds Python objects, which are never loaded")
            if fortran or len(shape) < 1:
                with np.load(path, allow_pickle=False) as arrays:
                    return np.asarray(arrays[key])
            spool = Spool(f"{path}:{key}", MEMORY)
            row = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
            step = max(1, 2**24 // max(row, 1))
            for start in range(0, shape[0], step):
                count = min(step, shape[0] - start)
                data = member.read(count * row)
                spool.add(np.frombuffer(data, dtype).reshape(count, *shape[1:]))
    return spool.finish() if shape[0] else np.empty(shape, dtype)


def read_csv(path: Path, key: str | None) -> Rows:
    """Numbers separated by commas, semicolons, tabs or blanks; a first line of names is skipped."""
    spool = Spool(str(path), MEMORY)
    with path.open(encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip()), "")
        delimiter = next((d for d in (",", ";", "\t") if d in first), None)
        head = [_number(field) for field in first.strip().split(delimiter)]
        named = bool(head) and all(value is None for value in head)
        file.seek(0)
        width = len(head)
        start = 1
        while lines := list(islice(file, CHUNK)):
            block: list[list[float]] = []
            for number, line in enumerate(lines, start):
                if not line.strip() or (named and line == first and not block and start == 1):
                    continue
                block.append(_csv_row(path, number, line, delimiter, width))
            start += len(lines)
            if block:
                spool.add(np.array(block, dtype=np.float64))
    return spool.finish()


def _csv_row(path: Path, number: int, line: str, delimiter: str | None, width: int) -> list[float]:
    fields = line.strip().split(delimiter)
    if len(fields) != width:
        raise UsageError(
            f"{path}, line {number}: found {len(fields)} values, line 1 has {width}; "
            "every line needs as many"
        )
    values = [_number(field) for field in fields]
    for column, (value, field) in enumerate(zip(values, fields, strict=True), 1):
        if value is None:
            raise UsageError(
                f"{path}, line {number}, column {column}: found {field.strip()!r}; "
                "allowed: numbers only, after at most one line of column names"
            )
    return [value for value in values if value is not None]


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def read_parquet(path: Path, key: str | None) -> Rows:
    """All columns of a Parquet file, each numeric, as one row a record."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise UsageError(
            f"{path}: reading Parquet needs pyarrow; install it with `pip install pyarrow`, "
            "or save the samples as .npy"
        ) from None
    spool = Spool(str(path), MEMORY)
    with parquet.ParquetFile(path) as table:
        for batch in table.iter_batches(batch_size=CHUNK):
            columns = []
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                values = column.to_numpy(zero_copy_only=False)
                if values.dtype.kind not in "fiub":
                    raise UsageError(
                        f"{path}, column {name!r}: found {column.type}; allowed: numbers"
                    )
                columns.append(values.astype(np.float64))
            spool.add(np.stack(columns, axis=1))
    return spool.finish()


def read_images(path: Path, key: str | None) -> Rows:
    """A folder of images of one size, in the order of their names: pixels / 255, [n, c, h, w]."""
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGES)
    if not files:
        raise UsageError(f"{path}: the folder holds no images ({', '.join(IMAGES)})")
    spool = Spool(str(path), MEMORY)
    for image in _images(files):
        spool.add(image[None])
    return spool.finish()


def _images(files: list[Path]) -> Iterator[NDArray[np.float32]]:
    from PIL import Image

    mode, size = "", (0, 0)
    for file in files:
        try:
            with Image.open(file) as image:
                if not mode:
                    mode = "L" if image.mode in ("1", "L") else "RGB"
                    size = image.size
                if image.size != size:
                    raise UsageError(
                        f"{file}: found {image.size[0]}x{image.size[1]} pixels, {files[0].name} "
                        f"has {size[0]}x{size[1]}; all images of a folder need one size"
                    )
                pixels = np.asarray(image.convert(mode), dtype=np.uint8)
        except OSError as error:
            raise UsageError(f"{file}: not a readable image ({error})") from error
        channels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        yield channels.astype(np.float32) / np.float32(255)


READERS: dict[str, Callable[[Path, str | None], Rows]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".parquet": read_parquet,
}
"""Formats by file name ending; a folder is read as images."""
