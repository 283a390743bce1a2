"""Where the samples come from: a synthetic pair that never runs dry, or two finite samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.data.points import Samples, aligned, centre_and_spread
from lipsort_cli.errors import UsageError
from lipsort_cli.wasserstein.transport import Rows

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

    def batch(self, count: int, rng: np.random.Generator) -> tuple[Points, Points]:
        """Points to train on, [count, dim] of each side."""

    def check(self, count: int, rng: np.random.Generator) -> Measures:
        """A sample to look at the bounds on while training."""

    def compared(self, count: int, rng: np.random.Generator) -> Measures:
        """The empirical measures that the proven bounds are about."""

    def held_out(self, count: int, rng: np.random.Generator) -> tuple[Rows, Rows] | None:
        """Independent points that the critic never saw; None where there are none."""

    def diameters(self, norm: str) -> tuple[float, float] | None:
        """Diameters of the supports, where they are known to be bounded."""


def box_diameters(box: tuple[float, float], dim: int, norm: str) -> tuple[float, float]:
    """Of two supports in the cube [low, high]^dim."""
    factor = {"l2": dim**0.5, "l1": float(dim), "linf": 1.0}[norm]
    return ((box[1] - box[0]) * factor,) * 2


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


class SampleSource:
    """Two finite samples; some rows may be held out from training.

    The proven bounds are about all compared rows. Confidence bounds use rows that the critic never
    saw, and are given for unweighted samples only: rows then count as independent draws.
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
    ) -> None:
        if p.dim != q.dim:
            raise UsageError(
                f"distribution: {p.name} has points of {p.dim} coordinates, {q.name} of {q.dim}; "
                "both samples need the same"
            )
        self.name = name
        self.dim = p.dim
        self.shape: tuple[int, ...] = p.shape if p.shape == q.shape else (p.dim,)
        self.truth = truth
        self._support = support
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
        """All rows that were never trained on, in random order; None if weighted or too few."""
        if any(s.weights is not None for s in self.samples) or min(map(len, self._unseen)) < 2:
            return None
        p, q = self.samples
        return Selection(p, self._unseen[0]), Selection(q, self._unseen[1])

    def diameters(self, norm: str) -> tuple[float, float] | None:
        """Of the box that the user says (or the data set is known) to hold every point."""
        if self._support is None or any(s.weights is not None for s in self.samples):
            return None
        return box_diameters(self._support, self.dim, norm)
