"""Two samplers to train on, and points that no training saw to bound the distance with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.data.distributions.base import Pair
from lipsort_cli.errors import UsageError
from lipsort_cli.wasserstein.sources import Measures, Points, box_diameters
from lipsort_cli.wasserstein.transport import Rows

Draw = Callable[[int, np.random.Generator], Points]
"""At most so many points [count, d], in random order."""

_LOOK = 2000


class SamplerSource:
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
        self._box = box
        # A look of its own, so that no later draw depends on it.
        with np.errstate(over="ignore", invalid="ignore"):  # said right below
            x, y = self.batch(_LOOK, np.random.default_rng(0))
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

    def diameters(self, norm: str) -> tuple[float, float] | None:
        """Of the box that is known to hold both supports."""
        if self._box is None:
            return None
        return box_diameters(self._box, self.dim, norm)


class SyntheticSource(SamplerSource):
    """A pair of distributions with fresh points every time."""

    def __init__(self, pair: Pair, name: str, norm: str) -> None:
        draws = pair.sample_p, pair.sample_q
        fingerprint = {"name": name, "dim": pair.dim}
        super().__init__(name, draws, draws, draws, fingerprint=fingerprint)
        self.pair, self.truth = pair, pair.truth(norm)
        union = np.concatenate(self.batch(_LOOK, np.random.default_rng(0))).astype(np.float64)
        self.centre = np.zeros(pair.dim)  # sampled means would shift symmetric pairs off centre
        self.spread = float(np.sqrt(union.var(0).sum()))

    def diameters(self, norm: str) -> tuple[float, float] | None:
        return self.pair.diameters(norm)


def _both(draws: tuple[Draw, Draw], count: int, rng: np.random.Generator) -> tuple[Points, Points]:
    return draws[0](count, rng), draws[1](count, rng)


def rows_with_replacement(rows: Points) -> Draw:
    """Draws ``count`` of the rows [n, d], each time any of them."""
    return lambda count, rng: rows[rng.integers(len(rows), size=count)]


def rows_once(rows: Points) -> Draw:
    """Draws at most ``count`` different rows of [n, d]."""
    return lambda count, rng: rows[rng.permutation(len(rows))[:count]]
