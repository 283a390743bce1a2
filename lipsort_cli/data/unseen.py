"""New data as a trained network takes them: the same columns, shape and units, a batch at a time.

What a run was trained on is in its ``run.json``; its data need not be there any more.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from os.path import exists
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.config.certificates import Settled
from lipsort_cli.console import plural, warn
from lipsort_cli.data.letters import as_written
from lipsort_cli.data.options import Options, few, packed_words
from lipsort_cli.data.pictures import (
    APART,
    IMAGES,
    ArrayView,
    Reading,
    full_scale,
    hidden,
    listed,
    skipped_words,
)
from lipsort_cli.data.rowfile import open_npy, open_npz, opened_npz, place_of, read_member
from lipsort_cli.data.tables import TABLES, open_table
from lipsort_cli.data.tabular import refuse_infinite, refuse_integers
from lipsort_cli.data.taken import Taken, columns_of
from lipsort_cli.errors import UsageError
from lipsort_cli.files import readable
from lipsort_cli.quoting import setting

FORMATS = (".npy", ".npz", *TABLES, *IMAGES)
"""Endings of the names of files that rows are read from."""
_ROWS = 1024
_VALUES = 2**24
"""Numbers of a batch at most, about."""


class Batch(NamedTuple):
    """Rows number ``rows`` [k]: ``inputs`` float32 [k, *shape], as the network takes them.

    ``values`` are the numbers as they were written, of the same shape, or at most ``off`` from
    them. ``labels`` int64 [k] and ``files`` [k] where there are any.
    """

    rows: NDArray[np.int64]
    inputs: NDArray[np.float32]
    values: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    files: list[str] | None = None
    off: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Unseen:
    """New data that is open: ``notes`` say what was left out or reordered."""

    name: str
    labelled: bool
    pictures: bool
    notes: tuple[str, ...]
    batches: Callable[[], Iterator[Batch]] = field(repr=False)


def open_unseen(location: str, taken: Taken, options: Settled) -> Unseen:
    """The rows of a table, an array, a picture or a folder of pictures.

    Args:
        location: ``.csv``, ``.parquet``, ``.npy``, ``.npz`` (or ``FILE.npz:NAME``), a picture, or
            a folder of pictures.
        taken: what the network takes.
        options: how files are read, as :func:`~lipsort_cli.config.certificates.settled`.

    Raises:
        UsageError: columns, shape or units are not those of the training data, or a label is no
            class of the run.
    """
    path, key = place_of(location)
    place = _place(options)
    if not exists(path):
        raise UsageError(f"{place}: found {location}; no such file or folder")
    ending = path.suffix.lower()
    if path.is_dir() or ending in IMAGES:
        return _pictures(path, taken, options)
    if ending in TABLES:
        return _table(path, taken, options)
    if ending in FORMATS:
        return _array(path, key, taken, place)
    raise UsageError(
        f"{place}: found {location}; allowed: {', '.join(FORMATS)}, or a folder{packed_words(path)}"
    )


def _place(options: Settled) -> str:
    """What the path of new data is called in messages."""
    return setting(options.group, "path") if options.group else "inputs"


def _classes(words: Sequence[str], taken: Taken, place: str) -> NDArray[np.int64]:
    """The numbers of classes that are named; -1 where nothing is."""
    known = {"": -1} | {name: number for number, name in enumerate(taken.classes)}
    words = as_written(words, list(known))
    for word in words:
        if word not in known:
            raise UsageError(
                f"{place}: found {word!r}, which is no class of the run; allowed: "
                f"{few(taken.classes)}; rows without labels are predicted all the same"
            )
    return np.array([known[word] for word in words], np.int64)


# --- tables ---------------------------------------------------------------------------------------


def _table(path: Path, taken: Taken, options: Settled) -> Unseen:
    if len(taken.shape) != 1:
        raise UsageError(
            f"{_place(options)}: {path} is a table, and the run was trained on inputs of shape "
            f"{list(taken.shape)}; allowed: pictures, or arrays of that shape"
        )
    chosen = Options.of(options, options.group, (options.label, options.own_label))
    if chosen.columns is None and taken.features:
        chosen = replace(chosen, columns=taken.features)
    table = open_table(path, chosen)
    label, own = (
        None if given is None else as_written([given], table.names)[0]
        for given in (options.label, options.own_label)
    )  # fmt: skip
    if label is not None:
        table.positions([label], setting(options.group, "label"))
    elif own in set(table.names) - set(as_written(taken.features, table.names)):
        label = own
    known = [name for name in table.names if name != label]
    names, notes = columns_of(known, str(path), taken, options.columns, options.group)
    key = setting(options.group, "columns")
    at = table.positions(names, key), table.positions([label] if label else [], key)

    def batches() -> Iterator[Batch]:
        start = 0
        for numbers, words in table.read(*at, options.gaps, options.group):
            refuse_integers(path, numbers, names, options.group)
            kept = np.asarray(~numbers.gap.any(1))
            values = numbers.hi[kept]
            with np.errstate(over="ignore"):
                inputs = values.astype(np.float32)
            refuse_infinite(path, values, inputs, names)
            _check_units(inputs, taken, str(path), start)
            labels = None
            if words:
                texts = [word for word, row in zip(words[0], kept, strict=True) if row]
                labels = _classes(texts, taken, f"{path}, column {label!r}")
            # A decimal, of however many digits, is at most so far from its binary64.
            off = np.spacing(np.abs(values))
            yield Batch(start + np.flatnonzero(kept), inputs, values, labels, off=off)
            start += len(kept)

    return Unseen(str(path), label is not None, False, (*table.notes, *notes), batches)


# --- arrays ---------------------------------------------------------------------------------------


def _array(path: Path, key: str | None, taken: Taken, place: str) -> Unseen:
    try:
        rows, labels, name = _opened(path, key)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{place}: {path} cannot be read: {error}") from error
    if labels is not None and labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    if labels is not None and labels.dtype.kind == "b" and "True" not in taken.classes:
        labels = labels.astype(np.int64)
    if labels is not None and (labels.shape != (len(rows),) or labels.dtype.kind not in "biuU"):
        raise UsageError(
            f"{path}: labels of shape {list(labels.shape)} and type {labels.dtype}; needed are "
            f"[{len(rows)}] whole numbers or words"
        )
    return from_rows(rows, taken, name, labels)


def from_rows(rows: Any, taken: Taken, name: str, labels: NDArray[Any] | None = None) -> Unseen:
    """Rows [N, ...] of an array, or a single input, and labels [N]: numbers or names of classes.

    Raises:
        UsageError: as :func:`open_unseen`.
    """
    view, single = _view(rows, taken, name)

    def batches() -> Iterator[Batch]:
        if single:
            yield _rows(np.asarray(rows[:])[None], 0, view, taken, name)
            return
        size = max(1, int(np.prod(taken.shape)))
        step = max(1, min(_ROWS, _VALUES // size))
        for start in range(0, len(rows), step):
            batch = _rows(np.asarray(rows[start : start + step]), start, view, taken, name)
            if labels is not None:
                words = [str(label) for label in labels[start : start + step].tolist()]
                batch = batch._replace(labels=_classes(words, taken, f"{name}: labels"))
            yield batch

    return Unseen(name, labels is not None, False, (), batches)


def _opened(path: Path, key: str | None) -> tuple[Any, NDArray[Any] | None, str]:
    """Rows of an array file, its labels where it holds a ``y`` for an ``x``, and its name."""
    with readable(path):
        if path.suffix.lower() == ".npy":
            return open_npy(path), None, str(path)
        with opened_npz(path) as (archive, names):
            if key is None:
                others = [name for name in names if not name.startswith("y")]
                key = others[0] if len(others) == 1 else None
            rows = open_npz(path, key)
            twin = "y" + key[1:] if key and key.startswith("x") else ""
            labels = read_member(archive, twin) if twin in names else None
            return rows, labels, f"{path}:{key}"


def _view(rows: Any, taken: Taken, name: str) -> tuple[ArrayView, bool]:
    """How an array's rows are read, and whether it is a single one."""
    kind, full = rows.dtype, full_scale(rows.dtype)
    if full is None and kind.kind not in "fb":
        raise UsageError(f"{name}: found {kind}; allowed are floats, and uint8 or uint16 pixels")
    if full is not None and taken.pixels and taken.full_scale is None:
        full = None  # the run's own were 0 and 1
    elif full is not None and taken.full_scale not in (255, 65535):
        stored = f"levels k/{taken.full_scale}" if taken.full_scale else "floats"
        raise UsageError(
            f"{name}: found {kind}; the run was trained on {stored}: save floats in the same unit"
            + (", from 0 to 1" if taken.unit else "")
        )
    shape = tuple(rows.shape)
    plain, last = ArrayView(full), ArrayView(full, True)
    order = [last, plain] if taken.channels_last else [plain, last]
    for view in order if len(taken.shape) == 3 else [plain]:
        for single, of in ((False, shape[1:]), (True, shape)):
            if of and _fits(view.shape(of) if len(of) == 3 else of, taken.shape):
                return view, single
    raise UsageError(
        f"{name}: found shape {list(shape)}; the run was trained on inputs of shape "
        f"{list(taken.shape)}: needed is [N, {', '.join(map(str, taken.shape))}]"
    )


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """The same but for axes of 1: pictures of one channel need not say so."""
    return shape == wanted or (len(shape) < len(wanted) and (1, *shape) == wanted)


def _rows(raw: NDArray[Any], start: int, view: ArrayView, taken: Taken, name: str) -> Batch:
    values = (view if raw.ndim == 4 else ArrayView(view.full))(raw)
    values = values.reshape(len(raw), *taken.shape)
    with np.errstate(over="ignore"):
        inputs = np.ascontiguousarray(values, np.float32)
    bad = ~np.isfinite(inputs).reshape(len(inputs), -1).all(1)
    if bad.any():
        row = start + int(np.flatnonzero(bad)[0])
        raise UsageError(
            f"{name}: row {row} holds NaN, an infinity, or a number beyond float32; allowed: "
            "finite numbers"
        )
    _check_units(inputs, taken, name, start)
    return Batch(np.arange(start, start + len(inputs)), inputs, values)


def _check_units(inputs: NDArray[np.float32], taken: Taken, name: str, start: int) -> None:
    """Refuse what is plainly in another unit than the training inputs; of rows from 0 on, ask."""
    if not inputs.size:
        return
    low, high = float(inputs.min()), float(inputs.max())
    levels = low >= 0 and 64 < high <= 65535 and bool((inputs == np.rint(inputs)).all())
    reach, known = max(abs(low), abs(high)), max(abs(taken.low), abs(taken.high))
    # The largest column of a table may be small in some rows.
    near = taken.features or known <= APART * reach
    if taken.unit and ((taken.pixels and (low < 0 or high > 1)) or levels):
        raise UsageError(
            f"{name}: found numbers from {low:g} to {high:g}; the run was trained on "
            f"{'pixels' if taken.pixels else 'numbers'} from 0 to 1: save them in the same unit"
        )
    if not start and known < np.inf and not (near and reach <= APART * known):
        warn(f"{name}: found numbers up to {reach:g} in size; those of the training reached "
             f"{known:g}: are both in one unit?")  # fmt: skip


# --- pictures -------------------------------------------------------------------------------------


def _pictures(path: Path, taken: Taken, options: Settled) -> Unseen:
    if len(taken.shape) != 3 or taken.shape[0] not in (1, 3) or not taken.unit:
        what = f"inputs of shape {list(taken.shape)}" + ("" if taken.unit else ", no pixels")
        raise UsageError(
            f"{_place(options)}: {path} holds pictures, and the run was trained on {what}"
        )
    files: list[Path] = [path]
    labels, where = None, path.parent
    notes: tuple[str, ...] = ()
    if path.is_dir():
        (files, labels, notes), where = _listed(path, taken, _place(options)), path
    reading, (channels, height, width) = Reading.of(options, options.group), taken.shape
    colour = setting(options.group, "colour")
    if {"grey": 1, "rgb": 3}.get(reading.colour, channels) != channels:
        raise UsageError(
            f"{colour}: found {reading.colour}; the run was trained on pictures of "
            + plural(channels, "channel")
        )
    if channels == 1 and reading.colour != "grey" and reading.channels(files) == 3:
        raise UsageError(
            f"{colour}: {path} has colours, and the run was trained on grey pictures; "
            f"{setting(options.group, 'colour', 'grey')} converts them"
        )
    step = max(1, min(_ROWS // 4, _VALUES // max(1, int(np.prod(taken.shape)))))

    def batches() -> Iterator[Batch]:
        for start in range(0, len(files), step):
            some = files[start : start + step]
            found = []
            for file, pixels in zip(some, reading.read(some, channels), strict=True):
                if pixels.shape != taken.shape:
                    size = setting(options.group, "size", str(height))
                    way = f": {size} cuts and scales" if height == width else ""
                    raise UsageError(
                        f"{file} has {pixels.shape[2]}x{pixels.shape[1]} pixels; the run was "
                        f"trained on {width}x{height}{way}"
                    )
                found.append(pixels)
            inputs = np.stack(found)
            names = [str(file.relative_to(where)) for file in some]
            of = None if labels is None else labels[start : start + step]
            yield Batch(np.arange(start, start + len(some)), inputs, inputs, of, names)

    return Unseen(str(path), labels is not None, True, notes, batches)


def _listed(
    folder: Path, taken: Taken, place: str
) -> tuple[list[Path], NDArray[np.int64] | None, tuple[str, ...]]:
    """Pictures of a folder; their classes, where they lie in subfolders with the classes' names."""
    files, skipped = listed(folder, deep=True)
    if not files:
        raise UsageError(f"{place}: {folder} holds no pictures ({', '.join(IMAGES)})")
    words = skipped_words(skipped, folder)
    notes = (words,) if words else ()
    inside = [file.relative_to(folder).parts[0] for file in files]
    subfolders = {name for name in inside if (folder / name).is_dir() and not hidden(name)}
    if not set(as_written(subfolders, taken.classes)) & set(taken.classes):
        return files, None, notes
    return files, _classes(inside, taken, f"{place}: {folder}"), notes
