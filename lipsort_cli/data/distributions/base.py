"""What every synthetic pair of distributions offers: samplers, the true distance, a potential."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float32]
Values = NDArray[np.float64]


class Pair(ABC):
    """Two distributions P and Q on R^dim whose Wasserstein-1 distance is known.

    The potential f is 1-Lipschitz for the Euclidean norm and attains the supremum in
    W1(P, Q) = sup_f E_P f - E_Q f, in that sign.
    """

    dim: int

    @abstractmethod
    def sample_p(self, count: int, rng: np.random.Generator) -> Points:
        """``count`` independent points of P, float32 [count, dim]."""

    @abstractmethod
    def sample_q(self, count: int, rng: np.random.Generator) -> Points:
        """``count`` independent points of Q, float32 [count, dim]."""

    @abstractmethod
    def truth(self, norm: str = "l2") -> float | None:
        """W1(P, Q) with ground metric ``norm`` (l2, linf, l1); None where it is not known."""

    @abstractmethod
    def potential(self, points: Points) -> Values:
        """An optimal Euclidean potential at ``points`` [n, dim], float64 [n]."""

    def diameters(self, norm: str = "l2") -> tuple[float, float] | None:
        """Diameters of the supports of P and Q in ``norm``; None where one is unbounded.

        Any upper bound is valid; they feed the bounded-difference upper confidence bound.
        """
        return None


def unit_sphere(count: int, dim: int, rng: np.random.Generator) -> Points:
    """Uniform points of the Euclidean unit sphere, float32 [count, dim].

    Normalised Gaussian vectors (Muller, 1959); a zero vector is replaced by the first axis.
    """
    points = rng.standard_normal((count, dim), dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", points, points))[:, None]
    zero = lengths[:, 0] == 0
    if zero.any():
        points[zero, 0] = 1
        lengths[zero] = 1
    points /= lengths
    return points


def ball_diameter(radius: float, dim: int, norm: str) -> float:
    """Diameter, in ``norm``, of a Euclidean ball of ``radius`` in R^dim.

    ||x||_inf <= ||x||_2 and ||x||_1 <= sqrt(dim) ||x||_2, each attained.
    """
    return 2 * radius * (dim**0.5 if norm == "l1" else 1.0)


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
        return at_knots[left] + self.slopes[piece] * (t - self.knots[left])


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
