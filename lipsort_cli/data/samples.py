"""Sample files: opened by their ending, and two of them made comparable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.config.distributions import FilesDistribution
from lipsort_cli.console import plural, say
from lipsort_cli.data.letters import as_written
from lipsort_cli.data.options import Options, few, packed_words, said_of
from lipsort_cli.data.pictures import IMAGES, Reading, full_scale, listed, skipped_words
from lipsort_cli.data.points import (
    DoubleRows,
    Rows,
    Samples,
    centre_and_spread,
    make_samples,
    refuse_rounding,
)
from lipsort_cli.data.precision import as_binary64
from lipsort_cli.data.rowfile import Spool, open_npy, open_npz, opened_npz, place_of
from lipsort_cli.data.tables import TABLES, Table, open_table
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import readable, require_file, resolved
from lipsort_cli.quoting import list_override

__all__ = ["Samples", "centre_and_spread", "load_pair", "load_samples", "make_samples"]

Files = FilesDistribution | None
"""How tables and pictures are read; None: as they are where nothing is said."""

_MODERATE = 150
"""Weights are scaled where their sum is above 2 to this power, or below its inverse."""

FORMATS = (".npy", ".npz", *TABLES)
"""Endings of sample files; a folder is read as images."""


def load_samples(
    location: str,
    weights: str | None = None,
    *,
    key: str = "p",
    options: Files = None,
) -> Samples:
    """Open and check a sample file.

    Args:
        location: ``.npy``, ``.npz`` (or ``FILE.npz:NAME``), ``.csv``, ``.parquet``, or a folder of
            images. Points are rows [n, ...]; a one-dimensional array is n points on the line.
        weights: a file of n weights >= 0, not all zero, in any of these formats; without it, an
            array ``weights`` of an ``.npz`` is taken.
        key: of the configuration (``distribution.<key>``), for messages.
        options: the node of the configuration that says how tables and images are read.

    Raises:
        UsageError: missing, unreadable, empty, a single point, not numeric, NaN, infinite, or with
            a number that binary64 would round.
    """
    found = _open(location, weights, key, options)
    refuse_rounding(found, f"distribution.{key}")
    return found


def load_pair(config: FilesDistribution) -> tuple[Samples, Samples]:
    """The two sample files of ``config``, made comparable.

    Columns of two tables are matched by name, which is said on screen. Numbers may be no binary64
    yet: :func:`~lipsort_cli.data.points.aligned` takes a shift off, or refuses them.

    Raises:
        UsageError: as :func:`load_samples`, or names, layouts or units of the two do not agree.
    """
    p = _open(config.p, config.p_weights, "p", config)
    q = _open(config.q, config.q_weights, "q", config, like=p)
    _agree(p, q)
    return p, q


# --- two samples that are to be compared ----------------------------------------------------------


def _agree(p: Samples, q: Samples) -> None:
    """Refuse layouts and units that differ."""
    if p.dim != q.dim:
        raise UsageError(
            f"distribution: {p.name} has points of {p.dim} coordinates, {q.name} of {q.dim}; "
            "both samples need the same"
        )
    shapes = [tuple(n for n in sample.shape if n != 1) for sample in (p, q)]
    if shapes[0] != shapes[1] and min(map(len, shapes)) > 1:
        raise UsageError(
            f"distribution: {p.name} has points of shape {list(p.shape)}, {q.name} of "
            f"{list(q.shape)}; coordinates are compared by position, so both need the same"
        )
    for one, other in ((p, q), (q, p)):
        unit, high = _unit(one), other.high
        if (unit and not _unit(other) and (high > 1 or _raw_levels(other))) or (
            _raw_levels(one) and one.high > 1 and not _raw_levels(other) and other.low >= 0
            and high <= 1
        ):  # fmt: skip
            raise UsageError(
                f"distribution: {one.name} holds {unit or one.points.dtype} from {one.low:g} to "
                f"{one.high:g}, {other.name} {other.points.dtype} from {other.low:g} to {high:g}; "
                "save both in one unit, as floats"
            )
    if p.names is None and q.names is None:
        return
    if p.names is None or q.names is None:
        bare = q if q.names is None else p
        say(f"{bare.name} has no names of columns: columns are compared by position")


def _unit(sample: Samples) -> str:
    if sample.view.full is not None:
        return f"pixels k/{sample.view.full}"
    return "pixels" if resolved(sample.name).is_dir() else ""


def _raw_levels(sample: Samples) -> bool:
    return full_scale(sample.points.dtype) is not None and sample.view.full is None


# --- opening --------------------------------------------------------------------------------------


def _open(
    location: str,
    weights: str | None,
    key: str,
    options: Files,
    like: Samples | None = None,
) -> Samples:
    option = f"distribution.{key}"
    path, name = place_of(location)
    points, table = _read(location, option, options, like)
    if weights is None and path.suffix == ".npz" and name != "weights":
        with opened_npz(path) as (_, names):
            weights = f"{path}:weights" if "weights" in names else None
    return make_samples(
        points,
        None if weights is None else _weights(weights, len(points), f"{option}_weights", options),
        name=location,
        option=option,
        names=table,
    )


def _read(
    location: str,
    option: str,
    options: Files,
    like: Samples | None = None,
    *,
    weights: bool = False,
) -> tuple[Rows, tuple[str, ...] | None]:
    """Rows, and the names of their columns where these are named; of points, or of weights."""
    path, key = place_of(location)
    if not path.exists():
        raise UsageError(f"{option}: found {location}; no such file or folder")
    ending = path.suffix.lower()
    names = None
    rows: Rows
    try:
        if path.is_dir():
            return _images(path, options), None
        if ending not in FORMATS:
            require_file(path)
            raise UsageError(
                f"found {location}; allowed: {', '.join(FORMATS)}, or a folder of images"
                f"{packed_words(path)}"
            )
        if ending in TABLES:
            chosen = Options.of(options, "distribution")
            # Columns that are chosen, and gaps, are those of points.
            chosen = replace(chosen, columns=(), gaps="refuse") if weights else chosen
            rows, names = _table(path, chosen, like)
        else:
            with readable(path):
                rows = open_npy(path) if ending == ".npy" else open_npz(path, key)
    except LipsortError as error:
        raise UsageError(f"{option}: {error}") from error
    if not rows.shape:
        raise UsageError(f"{option}: {location} holds a single number; allowed: rows [n, ...]")
    return rows, names


def _images(path: Path, options: Files) -> Rows:
    """A folder of images of one size, in the order of their names, [n, c, h, w]."""
    files, skipped = listed(path)
    if not files:
        raise UsageError(f"{path}: the folder holds no images ({', '.join(IMAGES)})")
    deeper = listed(path, deep=True)[0]
    if len(deeper) > len(files):
        raise UsageError(
            f"{path}: found {plural(len(deeper) - len(files), 'image')} in subfolders; a sample "
            "is one folder: move them, or name a subfolder"
        )
    if words := skipped_words(skipped, path):
        say(words)
    reading = Reading.of(options, "distribution")
    spool = Spool(str(path))
    for pixels in reading.read(files, reading.channels(files)):
        spool.add(pixels[None])
    return spool.finish()


def _table(
    path: Path, chosen: Options, like: Samples | None
) -> tuple[Rows, tuple[str, ...] | None]:
    table = open_table(path, chosen)
    for note in table.notes:
        say(note)
    names = chosen.columns or table.names
    if chosen.columns is None and table.named and like is not None and like.names is not None:
        names = _matched(table, like)
    rows = _spooled(table, table.positions(names, "distribution.columns"), chosen)
    return rows, names if table.named else None


def _matched(table: Table, like: Samples) -> tuple[str, ...]:
    """The columns of ``table`` in the order that ``like`` has them."""
    given = like.names or ()
    wanted = tuple(as_written(given, table.names))
    if set(wanted) != set(table.names):
        both = [name for name in wanted if name in table.names]
        choose = f"; {list_override('distribution.columns', both)} compares what both have"
        raise UsageError(
            f"{table.path} has the columns {', '.join(table.names)}, {like.name} "
            f"{', '.join(given)}; columns are matched by name" + (choose if both else "")
        )
    for note in said_of(given, wanted, str(table.path)):
        say(note)
    if wanted != table.names:
        say(f"{table.path}: columns put in the order of {like.name}: {', '.join(wanted)}")
    return wanted


def _spooled(table: Table, columns: list[int], options: Options) -> Rows:
    """The numbers of ``columns``, without the rows that have gaps where these are dropped."""
    hi, lo = Spool(str(table.path)), Spool(str(table.path))
    double, decimal, dropped, total = False, np.zeros(len(columns), bool), 0, 0
    for batch in table.numbers(columns, options.gaps, options.key):
        kept = np.asarray(~batch.gap.any(1))

        dropped += int((~kept).sum())
        total += len(kept)
        rest = np.zeros_like(batch.hi) if batch.lo is None else batch.lo
        double, decimal = double or batch.lo is not None, decimal | batch.decimal
        hi.add(batch.hi[kept])
        lo.add(rest[kept])
    if dropped:
        say(f"{table.path}: {dropped:,} of {total:,} rows have gaps and are left out")
    rows = hi.finish()
    return DoubleRows(rows, lo.finish(), decimal) if double else rows


def _weights(location: str, count: int, option: str, options: Files) -> NDArray[np.float64]:
    rows, names = _read(location, option, options, weights=True)
    if np.prod(rows.shape[1:]) != 1:
        held = f"the columns {few(names)}" if names else f"an array of shape {list(rows.shape)}"
        raise UsageError(
            f"{option}: {location} holds {held}; allowed: one number for each point, alone"
        )
    try:
        if isinstance(rows, DoubleRows) and not rows.decimal.all():
            raise ValueError("found integers that binary64 would round")
        array = as_binary64(np.asarray(rows.hi[:] if isinstance(rows, DoubleRows) else rows[:]))
    except ValueError as error:
        raise UsageError(f"{option}: {location}: {error}; save float64 instead") from error
    if array.size != count:
        found = f"{plural(array.size, 'weight')} for {plural(count, 'point')}"
        raise UsageError(f"{option}: {location} holds {found}")
    array = array.reshape(-1)
    # A sum that overflows would turn every share into 0 or NaN.
    with np.errstate(over="ignore"):
        total = array.sum()
    found = f"{option}: {location} holds weights from {array.min()} to {array.max()}; allowed: "
    if not np.isfinite(total) or array.min() < 0 or total <= 0:
        raise UsageError(f"{found}finite, >= 0, not all zero, of finite sum")
    # Shares are meant: a power of two makes them moderate.
    exponent = int(np.frexp(total)[1])
    moderate = array if abs(exponent) <= _MODERATE else np.ldexp(array, -exponent)
    if moderate is not array and (np.ldexp(moderate, exponent) != array).any():
        raise UsageError(f"{found}those that differ less in size")
    return moderate
