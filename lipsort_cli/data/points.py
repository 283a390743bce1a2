"""Points of a sample: checked once, exact where they are compared, rounded where they train."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.console import plural, say, warn
from lipsort_cli.data.arrow import DECIMAL
from lipsort_cli.data.pictures import (
    ArrayView,
    announced_scale,
    channels_last,
    channels_warning,
    full_scale,
)
from lipsort_cli.data.precision import Array, Parts, common_shift, moved, parts, shift_words
from lipsort_cli.data.rowfile import CHUNK, RowFile
from lipsort_cli.errors import UsageError

Index = slice | NDArray[np.int64]


class DoubleRows:
    """Rows whose numbers are hi + lo, where a table holds more digits than binary64.

    ``decimal`` [d] marks columns whose lo is of decimals, which binary64 rounds anyway.
    """

    def __init__(self, hi: Any, lo: Any, decimal: NDArray[np.bool_]) -> None:
        self.hi, self.lo, self.decimal = hi, lo, decimal
        self.shape: tuple[int, ...] = hi.shape
        self.dtype = hi.dtype

    def __len__(self) -> int:
        return len(self.hi)

    def __getitem__(self, index: Any) -> NDArray[np.float64]:
        """[k, 2, d]: the two parts of each row."""
        return np.stack([self.hi[index], self.lo[index]], axis=1)


Rows = NDArray[Any] | RowFile | DoubleRows


@dataclass(frozen=True)
class Samples:
    """Points [n, ...] with optional weights [n], finite throughout.

    ``single`` says that every coordinate is a float32. Where it is not, :meth:`rows` rounds, for
    training; :meth:`exact` never does, and is what bounds are computed from. ``low`` and ``high``
    [d] enclose every coordinate as the file has it. ``shift`` [d] is taken off every point that is
    read. ``rest`` [d] marks coordinates that no binary64 holds as they are.
    """

    name: str
    points: Rows
    weights: NDArray[np.float64] | None
    single: bool
    lows: Array
    highs: Array
    rest: NDArray[np.bool_]
    sha256: str
    view: ArrayView = ArrayView()
    shift: Array | None = None
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.points)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one point, channels first."""
        return self.view.shape(tuple(self.points.shape[1:]))

    @property
    def dim(self) -> int:
        """Coordinates a point."""
        return int(np.prod(self.points.shape[1:], dtype=np.int64))

    @property
    def low(self) -> float:
        """Below every coordinate."""
        return float(self.lows.min())

    @property
    def high(self) -> float:
        """Above every coordinate."""
        return float(self.highs.max())

    def rows(self, index: Index) -> NDArray[np.float32]:
        """Points by number, rounded to float32 [k, d]."""
        if self.shift is not None or isinstance(self.points, DoubleRows):
            return self._binary64(index).astype(np.float32)
        rows = self.view(np.asarray(self.points[index]))
        return rows.reshape(len(rows), -1).astype(np.float32)

    def exact(self, index: Index) -> NDArray[np.float32] | NDArray[np.float64]:
        """Points by number as they are: float32 [k, d] if all are, else float64 [k, d]."""
        return self.rows(index) if self.single else self._binary64(index)

    def pieces(self, index: NDArray[np.int64] | None = None) -> Iterator[tuple[int, Parts]]:
        """Where each piece of the rows (all, or ``index``) starts, and its numbers as hi + lo."""
        step = _step(self.points)
        for start in range(0, len(self) if index is None else len(index), step):
            chosen = slice(start, start + step)
            yield start, flat(self.points, self.view, chosen if index is None else index[chosen])

    def _binary64(self, index: Index) -> Array:
        hi, lo = flat(self.points, self.view, index)
        return hi if self.shift is None else moved(hi, lo, self.shift)[0]


def flat(points: Rows, view: ArrayView, index: Any) -> Parts:
    """Rows [k, d] as hi + lo."""
    picked = points[index]
    if isinstance(points, DoubleRows):
        return picked[:, 0], picked[:, 1]
    rows = view(np.asarray(picked))
    return parts(rows.reshape(len(rows), -1))


def make_samples(
    points: Rows,
    weights: NDArray[np.float64] | None,
    *,
    name: str,
    option: str = "samples",
    names: tuple[str, ...] | None = None,
) -> Samples:
    """Check rows [n, ...] that are there already, as ``load_samples`` does those of a file."""
    if points.dtype.kind not in "fiub":
        hint = " (cast times to integers)" if points.dtype.kind in "Mm" else ""
        raise UsageError(f"{option}: {name} holds {points.dtype} values; allowed: numbers{hint}")
    if len(points.shape) == 1 and isinstance(points, np.ndarray):
        points = points[:, None]
    if len(points) < 2 or int(np.prod(points.shape[1:], dtype=np.int64)) == 0:
        raise UsageError(
            f"{option}: {name} holds {plural(len(points), 'point')} of shape "
            f"{list(points.shape[1:])}; at least two points, of at least one coordinate, are needed"
        )
    view = _view(points, name)
    digest = hashlib.sha256(repr((points.shape, points.dtype.str)).encode())
    step = _step(points)
    if (size := math.prod(points.shape) * points.dtype.itemsize) > 2**30:
        say(f"{name}: reading all of {size / 2**30:,.1f} GiB, for its SHA-256 and its range")
    for start in range(0, len(points), step):
        digest.update(np.ascontiguousarray(points[start : start + step]).tobytes())
    if weights is not None:
        digest.update(weights.tobytes())
    nothing = np.empty(0), np.empty(0), np.empty(0, bool)
    found = Samples(name, points, weights, True, *nothing, digest.hexdigest(), view, None, names)
    try:
        return _measured(found, option)
    except ValueError as error:
        raise UsageError(f"{option}: {name}: {error}") from error


def _step(points: Rows) -> int:
    """Rows that are looked at at a time."""
    return max(1, min(CHUNK, 2**25 // max(1, int(np.prod(points.shape[1:], dtype=np.int64)))))


def _view(points: Rows, name: str) -> ArrayView:
    """How an array's rows are read: unsigned integers of two or three axes are pictures."""
    shape = tuple(points.shape[1:])
    last = channels_last(shape)
    if last:
        warn(channels_warning(shape, name))
    if len(shape) < 2 or full_scale(points.dtype) is None:
        return ArrayView(None, last)
    step = _step(points)
    highest = max(int(points[i : i + step].max()) for i in range(0, len(points), step))
    return ArrayView(announced_scale(name, points.dtype, highest), last)


def _measured(found: Samples, option: str) -> Samples:
    """``found`` with all that a pass over its points says."""
    lows, highs, fine, rest = _span(found, option)
    if rest.any() and isinstance(found.points, DoubleRows):
        # Of a decimal the nearest binary64 is meant, unless the rest is much of what differs.
        left = np.max(
            [np.abs(lo).max(0) for _, (_, lo) in found.pieces() if lo is not None], axis=0
        )
        rest = rest & ~(found.points.decimal & (left <= DECIMAL * (highs - lows)))
    return replace(found, single=not fine, lows=lows, highs=highs, rest=rest)


def aligned(
    p: Samples, q: Samples, trained: Sequence[NDArray[np.int64]]
) -> tuple[Samples, Samples]:
    """Both samples less what would make float32 or binary64 lose their differences.

    The same is taken off both, exactly, so that their distance stays as it is; it is found from
    the rows ``trained`` of each alone, as all that shapes a critic, and said on screen.

    Raises:
        UsageError: a number is no binary64, with or without the shift; or other rows than those
            trained on decide whether levels are pixels.
    """
    sides = (("p", p, trained[0]), ("q", q, trained[1]))
    spans = [_span(sample, f"distribution.{key}", index) for key, sample, index in sides]
    for (key, sample, _), span in zip(sides, spans, strict=True):
        if sample.view.full is not None and span[1].max() * sample.view.full < 1.5:
            raise UsageError(
                f"distribution.{key}: {sample.name} holds levels of 0 and 1 alone in the rows to "
                "train on, which would be numbers, and others in rows that are held out, which "
                f"make all of them pixels k/{sample.view.full}; save float32, which says what is "
                "meant"
            )
    shift = common_shift(
        np.minimum(spans[0][0], spans[1][0]),
        np.maximum(spans[0][1], spans[1][1]),
        np.full(p.dim, spans[0][2] or spans[1][2]),
        (p.rest & spans[0][3]) | (q.rest & spans[1][3]),
    )
    if shift.any():
        p, q = _shifted(p, shift, "distribution.p"), _shifted(q, shift, "distribution.q")
        say(shift_words(shift, p.names))
    refuse_rounding(p, "distribution.p")
    refuse_rounding(q, "distribution.q")
    return p, q


def _span(
    found: Samples, option: str, index: NDArray[np.int64] | None = None
) -> tuple[Array, Array, bool, NDArray[np.bool_]]:
    """Smallest and largest of each coordinate; what is no float32, or no binary64, once shifted.

    Raises:
        UsageError: a number is infinite, NaN, or beyond float32.
    """
    lows, highs = np.full(found.dim, math.inf), np.full(found.dim, -math.inf)
    rest, fine = np.zeros(found.dim, bool), False
    for start, (hi, lo) in found.pieces(index):
        lows, highs = np.minimum(lows, hi.min(0)), np.maximum(highs, hi.max(0))
        if found.shift is not None:
            hi, lo = moved(hi, lo, found.shift)[0], None
        with np.errstate(over="ignore"):
            rounded = hi.astype(np.float32)
        if not np.isfinite(rounded).all():
            row, column = np.argwhere(~np.isfinite(rounded))[0]
            raise UsageError(
                f"{option}: {found.name} holds {hi[row, column]} in row {start + row}, "
                f"coordinate {column}; allowed: finite numbers within float32's range"
            )
        fine = fine or lo is not None or bool((rounded != hi).any())
        if lo is not None:
            rest |= lo.any(0)
    return lows, highs, fine, rest


def _shifted(found: Samples, shift: Array, option: str) -> Samples:
    """``found`` with ``shift`` taken off; UsageError where that rounds."""
    decimal = found.points.decimal if isinstance(found.points, DoubleRows) else False
    allowed = np.where(decimal, DECIMAL * (found.highs - found.lows), 0.0)
    for start, (hi, lo) in found.pieces():
        _, lost = moved(hi, lo, shift)
        if lost is not None and (lost > allowed).any():
            row, column = np.argwhere(lost > allowed)[0]
            raise UsageError(_rounds(found, option, int(column), start + int(row)))
    return _measured(replace(found, shift=shift), option)


def centre_and_spread(
    samples: Samples, index: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float]:
    """Plain mean [d] of the rows ``index``, and the root of their mean squared distance from it.

    Of these rows alone: what shapes a critic must not depend on rows that it is judged on.
    """
    total = np.zeros(samples.dim)
    squares = 0.0
    first = samples.exact(index[:1]).astype(np.float64)
    step = _step(samples.points)
    for start in range(0, len(index), step):
        rows = samples.exact(index[start : start + step]).astype(np.float64)
        total += rows.sum(0)
        squares += float(np.square(rows - first).sum())
    centre: NDArray[np.float64] = total / len(index)
    variance = squares / len(index) - float(np.square(centre - first).sum())
    return centre, math.sqrt(max(variance, 0.0))


def refuse_rounding(found: Samples, option: str) -> None:
    """Raise UsageError where a number of ``found`` is no binary64, with its place."""
    if not found.rest.any():
        return
    column = int(np.flatnonzero(found.rest)[0])
    for start, (_, lo) in found.pieces():
        if lo is not None and lo[:, column].any():
            row = start + int(np.flatnonzero(lo[:, column])[0])
            raise UsageError(_rounds(found, option, column, row))


def _rounds(found: Samples, option: str, column: int, row: int) -> str:
    called = repr(found.names[column]) if found.names else str(column)
    hi, lo = flat(found.points, found.view, slice(row, row + 1))
    exact = Fraction(float(hi[0, column])) + (0 if lo is None else Fraction(float(lo[0, column])))
    value = exact.numerator if exact.denominator == 1 else f"{float(exact)!r} and further digits"
    return (
        f"{option}: {found.name} holds {value} in row {row}, coordinate {called}, which binary64 "
        "would round, and bounds are computed in that; take a common number off both samples "
        "first, or save them as float64 if the rounding is meant"
    )
