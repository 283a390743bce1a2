"""Piecewise linear functions of one variable: the potentials of transport on the line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """The continuous function with ``slopes[i]`` between ``knots[i-1]`` and ``knots[i]``.

    ``slopes`` has one entry more than ``knots``; the value at ``knots[0]`` is zero.
    """

    knots: Values
    slopes: Values

    def __call__(self, t: ArrayLike) -> Values:
        """Values at ``t``, float64, of the same shape."""
        t = np.asarray(t, dtype=np.float64)
        at_knots = np.concatenate([[0.0], np.cumsum(np.diff(self.knots) * self.slopes[1:-1])])
        piece = np.searchsorted(self.knots, t)
        left = np.maximum(piece - 1, 0)
        value: Values = at_knots[left] + self.slopes[piece] * (t - self.knots[left])
        return value


def atoms_distance(
    p: ArrayLike, p_weights: ArrayLike, q: ArrayLike, q_weights: ArrayLike
) -> tuple[float, Profile]:
    """W1 between two discrete distributions on the line, and an optimal potential.

    With distribution functions F and G, W1 = integral |F - G|, and because
    E_P f - E_Q f = -integral f' (F - G), the potential has slope -sign(F - G) (Vallender, 1974).
    """
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    a, b = (
        np.asarray(p_weights, dtype=np.float64),
        np.asarray(q_weights, dtype=np.float64),
    )
    positions = np.concatenate([p, q])
    masses = np.concatenate([a / a.sum(), -b / b.sum()])
    knots, place = np.unique(positions, return_inverse=True)
    difference = np.cumsum(np.bincount(place, weights=masses))[:-1]
    difference[np.abs(difference) < 1e-14] = 0.0  # equal masses that only rounding tells apart
    distance = float(np.sum(np.abs(difference) * np.diff(knots)))
    return distance, Profile(knots, np.concatenate([[0.0], -np.sign(difference), [0.0]]))
