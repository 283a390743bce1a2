"""Where the samples come from: a pair that never runs dry, or two finite samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.console import warn
from lipsort_cli.data.points import Samples, aligned, centre_and_spread
from lipsort_cli.errors import UsageError
from lipsort_cli.wasserstein.transport import Rows, digests

Points = NDArray[np.float32]
Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """Some rows of a sample, read when asked for; looks like an array [n, d]."""

    samples: Samples
    index: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, d]."""
        return len(self.index), self.samples.dim

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Any) -> Any:
        return self.samples.exact(self.index[index])


class Measures(NamedTuple):
    """Two weighted empirical measures: rows [n, d] and [m, d], weights or None for uniform."""

    x: Rows
    y: Rows
    x_weights: Weights | None = None
    y_weights: Weights | None = None


class Source(Protocol):
    """What the estimator needs of two distributions on R^dim."""

    name: str
    dim: int
    shape: tuple[int, ...]
    """Of one point: [dim], or that of the images that the rows are; convolutional critics ask."""
    truth: float | None
    """W1 of the measures or populations compared, in the chosen norm, where it is known."""
    centre: NDArray[np.float64]
    spread: float
    """Where training points lie and how far apart: of points of training alone."""
    fingerprint: dict[str, Any]
    finite: bool
    box: tuple[float, float] | None
    """[low, high] that is known to hold every coordinate of both supports, if any is."""

    def batch(self, count: int, rng: np.random.Generator) -> tuple[Points, Points]:
        """Independent points of those to train on, [count, dim] of each side."""

    def step_batch(
        self, count: int, rng: np.random.Generator, order: tuple[int, ...], step: int
    ) -> tuple[Points, Points]:
        """What step number ``step`` trains on; ``order``: a seed of orders of finite samples."""
        return self.batch(count, rng)

    def check(self, count: int, rng: np.random.Generator) -> Measures:
        """A sample to look at the bounds on while training."""

    def compared(self, count: int, rng: np.random.Generator) -> Measures:
        """The empirical measures that the proven bounds are about."""

    def held_out(self, count: int, rng: np.random.Generator) -> tuple[Rows, Rows] | None:
        """Independent points that the critic never saw; None where there are none."""

    def diameters(self, norm: str) -> tuple[float, float] | None:
        """Diameters of the supports, where they are known to be bounded."""
        if self.box is None:
            return None
        factor = {"l2": self.dim**0.5, "l1": float(self.dim), "linf": 1.0}[norm]
        return ((self.box[1] - self.box[0]) * factor,) * 2


def _check_sample(
    key: str, sample: Samples, rows: int | None, support: tuple[float, float] | None
) -> None:
    if support is not None and not (support[0] <= sample.low and sample.high <= support[1]):
        raise UsageError(
            f"distribution.support: found {list(support)}, but {sample.name} has "
            f"coordinates from {sample.low} to {sample.high}"
        )
    if rows is not None and rows > len(sample):
        raise UsageError(
            f"distribution.rows: found {rows}, but distribution.{key} has {len(sample)}"
        )


@lru_cache(maxsize=4)
def _order(rows: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(rows)


def in_passes(rows: int, count: int, step: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    """The ``count`` of ``rows`` rows of one step [count]: each once before any comes again.

    Pass after pass, each in an order of its own: a function of the arguments and of nothing else.
    """
    begin = step * count
    passes = range(begin // rows, (begin + count - 1) // rows + 1)
    parts = [
        _order(rows, (*seed, one))[max(begin - one * rows, 0) : begin + count - one * rows]
        for one in passes
    ]
    return np.concatenate(parts)


class SampleSource(Source):
    """Two finite samples of as many coordinates; some rows may be held out from training.

    The proven bounds are about all compared rows. Confidence bounds use rows that the critic never
    saw, and are given for unweighted samples only: rows then count as independent draws. Where both
    samples are known to share rows (not ``independent``), there are none.
    """

    finite = True

    def __init__(
        self,
        p: Samples,
        q: Samples,
        name: str,
        *,
        rng: np.random.Generator,
        rows: int | None = None,
        holdout: float = 0.0,
        support: tuple[float, float] | None = None,
        truth: float | None = None,
        independent: bool = True,
    ) -> None:
        self.name, self.dim, self.truth = name, p.dim, truth
        self.shape: tuple[int, ...] = p.shape if p.shape == q.shape else (p.dim,)
        self._compared, self._trained, self._unseen = [], [], []
        for key, sample in (("p", p), ("q", q)):
            _check_sample(key, sample, rows, support)
            order = rng.permutation(len(sample))
            kept = len(sample) if rows is None else rows
            trained = kept - int(holdout * kept)
            if trained < 1:
                raise UsageError(f"evaluation.holdout: found {holdout}, which leaves no rows")
            self._compared.append(np.sort(order[:kept]))
            self._trained.append(np.sort(order[:trained]))
            self._unseen.append(order[trained:])
        p, q = self.samples = aligned(p, q, self._trained)
        self.weighted = any(sample.weights is not None for sample in self.samples)
        self._independent = independent
        self.box = None if self.weighted or not independent else support
        self._cumulative = [
            None if s.weights is None else np.cumsum(s.weights[index])
            for s, index in zip(self.samples, self._trained, strict=True)
        ]
        for key, cumulative in zip("pq", self._cumulative, strict=True):
            if cumulative is not None and cumulative[-1] <= 0:
                raise UsageError(
                    f"distribution.{key}_weights: all rows to train on have weight 0; "
                    "set evaluation.holdout=0"
                )
        # The critic is fixed before it meets the rows held out, and so is all that shapes it.
        (first, p_spread), (second, q_spread) = (
            centre_and_spread(s, index)
            for s, index in zip(self.samples, self._trained, strict=True)
        )
        self.centre = (first + second) / 2
        half_gap = float(np.linalg.norm(first - second)) / 2
        self.spread = float(np.sqrt((p_spread**2 + q_spread**2) / 2 + half_gap**2))
        self.fingerprint: dict[str, Any] = {
            "name": name,
            "p": {"name": p.name, "points": len(p), "sha256": p.sha256},
            "q": {"name": q.name, "points": len(q), "sha256": q.sha256},
        }
        if p.shift is not None:
            self.fingerprint["shift"] = p.shift.tolist()

    def _pick(self, side: int, count: int, rng: np.random.Generator) -> Points:
        trained, cumulative = self._trained[side], self._cumulative[side]
        if cumulative is None and count >= len(trained):
            rows = trained
        elif cumulative is None:
            rows = trained[rng.integers(len(trained), size=count)]
        else:
            place = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
            rows = trained[np.minimum(place, len(trained) - 1)]
        return self.samples[side].rows(rows)

    def batch(self, count: int, rng: np.random.Generator) -> tuple[Points, Points]:
        """Training rows drawn by weight with replacement; all of them where ``count`` reaches."""
        return self._pick(0, count, rng), self._pick(1, count, rng)

    def step_batch(
        self, count: int, rng: np.random.Generator, order: tuple[int, ...], step: int
    ) -> tuple[Points, Points]:
        """The same, but rows without weights come once each before any comes again.

        The steps that momentum adds up then see all of the sample, not some rows twice.
        """
        points = []
        for side, trained in enumerate(self._trained):
            if self._cumulative[side] is not None or count >= len(trained):
                points.append(self._pick(side, count, rng))
            else:
                rows = in_passes(len(trained), count, step, (*order, side))
                points.append(self.samples[side].rows(trained[rows]))
        return points[0], points[1]

    def _measures(self, indices: list[NDArray[np.int64]]) -> Measures:
        p, q = self.samples
        weights = [
            None if s.weights is None else s.weights[i]
            for s, i in zip((p, q), indices, strict=True)
        ]
        return Measures(Selection(p, indices[0]), Selection(q, indices[1]), *weights)

    def check(self, count: int, rng: np.random.Generator) -> Measures:
        picked = []
        for sample, index in zip(self.samples, self._trained, strict=True):
            chosen = np.sort(rng.permutation(len(index))[:count])
            if sample.weights is not None and not sample.weights[index[chosen]].any():
                chosen = np.flatnonzero(sample.weights[index])[:count]
            picked.append(index[chosen])
        return self._measures(picked)

    def compared(self, count: int, rng: np.random.Generator) -> Measures:
        """All compared rows, whatever ``count``."""
        return self._measures(self._compared)

    def held_out(self, count: int, rng: np.random.Generator) -> tuple[Rows, Rows] | None:
        """All rows that were never trained on, in random order; None if weighted or too few.

        A row that equals a trained one may be a copy, which no bound can tell: it is said.
        """
        few = min(map(len, self._unseen)) < 2
        if few or self.weighted or not self._independent:
            return None
        found, known = [], set()
        for sample, trained in zip(self.samples, self._trained, strict=True):
            known |= set(digests(Selection(sample, trained)))
        for sample, unseen in zip(self.samples, self._unseen, strict=True):
            rows = Selection(sample, unseen)
            again = sum(digest in known for digest in digests(rows))
            if again > _REPEATED * len(rows):
                warn(
                    f"{sample.name}: {again:,} of {len(rows):,} rows held out equal rows that the "
                    "critic was trained on; if these are copies, not draws, its bounds for the "
                    "populations do not hold"
                )
            found.append(rows)
        return found[0], found[1]

    def diameters(self, norm: str) -> tuple[float, float] | None:
        """Those of the box. Of rows that are copies the same is said as of those held out."""
        found = super().diameters(norm)
        if found is None or min(map(len, self._unseen)) >= 2:  # :meth:`held_out` has looked
            return found
        for sample, index in zip(self.samples, self._compared, strict=True):
            again = len(index) - len(set(digests(Selection(sample, index))))
            if again > _REPEATED * len(index):
                warn(
                    f"{sample.name}: {again:,} of {len(index):,} rows equal others of it; if these "
                    "are copies, not draws, its bounds for the populations do not hold"
                )
        return found


Draw = Callable[[int, np.random.Generator], Points]
"""At most so many points [count, d], in random order."""

LOOK = 2000
"""Points a side of what is looked at before anything is trained."""

_REPEATED = 0.01
"""Share of held-out rows that may equal trained ones before a word is said."""


class SamplerSource(Source):
    """A pair of distributions known through samplers, such as a generator and its data.

    Args:
        name: of the pair.
        train: what draws points of either side to train on, as often as asked.
        compared: what draws the points of either side that the proven bounds are about.
        held_out: the same for confidence bounds: independent of each other and of everything that
            was trained on either side. None where there are none.
        shape: of one point, where the rows are images.
        fingerprint: for ``run.json``.
        box: [low, high] that holds every coordinate of both distributions, where they are known to
            lie in one and the compared points are independent draws of them.

    Raises:
        UsageError: a point is infinite or NaN.
    """

    truth: float | None = None
    finite = False

    def __init__(
        self,
        name: str,
        train: tuple[Draw, Draw],
        compared: tuple[Draw, Draw],
        held_out: tuple[Draw, Draw] | None,
        *,
        shape: tuple[int, ...] | None = None,
        fingerprint: dict[str, Any] | None = None,
        box: tuple[float, float] | None = None,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint or {"name": name}
        self._train, self._compared, self._held_out = train, compared, held_out
        self.box = box
        # A look of its own, so that no later draw depends on it.
        with np.errstate(over="ignore", invalid="ignore"):  # said right below
            x, y = self.batch(LOOK, np.random.default_rng(0))
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise UsageError(
                f"distribution: {name} draws points that are no finite float32 numbers; allowed: "
                "a scale (radius, spacing, shift, std) that keeps them below 3e38"
            )
        self.dim = x.shape[1]
        self.shape: tuple[int, ...] = shape or (self.dim,)
        p, q = x.mean(0, dtype=np.float64), y.mean(0, dtype=np.float64)
        self.centre: NDArray[np.float64] = (p + q) / 2
        union = np.concatenate([x - self.centre, y - self.centre])
        self.spread = float(np.sqrt(np.square(union).sum(1).mean()))

    def batch(self, count: int, rng: np.random.Generator) -> tuple[Points, Points]:
        return _both(self._train, count, rng)

    def check(self, count: int, rng: np.random.Generator) -> Measures:
        """Points to train on: what is looked at on the way may steer the training."""
        return Measures(*_both(self._train, count, rng))

    def compared(self, count: int, rng: np.random.Generator) -> Measures:
        return Measures(*_both(self._compared, count, rng))

    def held_out(self, count: int, rng: np.random.Generator) -> tuple[Rows, Rows] | None:
        """At most ``count`` points a side that nothing was trained on."""
        return None if self._held_out is None else _both(self._held_out, count, rng)


def _both(draws: tuple[Draw, Draw], count: int, rng: np.random.Generator) -> tuple[Points, Points]:
    return draws[0](count, rng), draws[1](count, rng)


def rows_with_replacement(rows: Points) -> Draw:
    """Draws ``count`` of the rows [n, d], each time any of them."""
    return lambda count, rng: rows[rng.integers(len(rows), size=count)]


def rows_once(rows: Points) -> Draw:
    """Draws at most ``count`` different rows of [n, d]."""
    return lambda count, rng: rows[rng.permutation(len(rows))[:count]]
