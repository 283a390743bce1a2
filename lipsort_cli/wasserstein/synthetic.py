"""Synthetic pairs as sources: fresh float32 points, and the distance that is known of them."""

from __future__ import annotations

import numpy as np

from lipsort_cli.console import warn
from lipsort_cli.data.distributions.base import Pair
from lipsort_cli.directed_text import at_most
from lipsort_cli.norms import ORDER
from lipsort_cli.wasserstein.sources import LOOK, SamplerSource
from lipsort_cli.wasserstein.transport import Array


class SyntheticSource(SamplerSource):
    """A pair of distributions with fresh points every time.

    Its points are float32: what is estimated is the distance of the rounded distributions. A point
    x moves by about 2^-24 ||x|| for each of a few roundings, and W1 by no more than both sides'
    points do on average; where that is more than a thousandth of the pair's distance, nothing is
    called the true one.
    """

    def __init__(self, pair: Pair, name: str, norm: str) -> None:
        draws = pair.sample_p, pair.sample_q
        fingerprint = {"name": name, "dim": pair.dim}
        super().__init__(name, draws, draws, draws, fingerprint=fingerprint)
        union = np.concatenate(self.batch(LOOK, np.random.default_rng(0))).astype(np.float64)
        self.pair, self.truth = pair, _unrounded(pair.truth(norm), union, norm, name)
        self.centre = np.zeros(pair.dim)  # sampled means would shift symmetric pairs off centre
        self.spread = float(np.sqrt(union.var(0).sum()))

    def diameters(self, norm: str) -> tuple[float, float] | None:
        """Those of the pair, and what rounding adds: of a length, that of ``dim`` summands."""
        found = self.pair.diameters(norm)
        wider = 1 + (self.dim + 8) * 2.0**-23
        return None if found is None else (found[0] * wider, found[1] * wider)


_RESOLVED = 1e-3
"""Share of a known distance that the rounding of points may be."""


def _unrounded(truth: float | None, union: Array, norm: str, name: str) -> float | None:
    """``truth``, unless float32 rounds points [n, d] of both sides by too much of it: it is said.

    Equal distributions stay equal when both are rounded.
    """
    if not truth:
        return truth
    rounding = 2 * 2.0**-23 * float(np.linalg.norm(union, ORDER[norm], axis=1).mean())
    if rounding <= _RESOLVED * truth:
        return truth
    warn(
        f"distribution: the distance of {name} is {truth:.6g} before its points are rounded to "
        f"float32, which moves them by up to {at_most(rounding / 2, 2)} on average; that of the "
        "rounded ones is not known"
    )
    return None
