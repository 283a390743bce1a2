"""Gaussian pairs with a closed form: translated, scaled, and mixtures along one axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.data.distributions.base import Pair, Points, Profile, Values
from lipsort_cli.errors import UsageError


@dataclass(frozen=True)
class TranslatedGaussians(Pair):
    """P = N(0, std^2 I) and Q = P + t, where t has every coordinate shift / sqrt(dim).

    The coupling y = x + t gives W1 <= ||t||; by Jensen any coupling costs at least
    ||E y - E x|| = ||t||. So W1 = ||t|| in every norm: ``shift`` in l2. The Euclidean
    potential is f(x) = -<x, t> / ||t||.
    """

    dim: int = 50
    shift: float = 1.0
    std: float = 1.0

    def _step(self) -> Values:
        return np.full(self.dim, self.shift / math.sqrt(self.dim))

    def sample_p(self, count: int, rng: np.random.Generator) -> Points:
        """Points of N(0, std^2 I)."""
        return rng.standard_normal((count, self.dim), dtype=np.float32) * np.float32(self.std)

    def sample_q(self, count: int, rng: np.random.Generator) -> Points:
        """Points of N(t, std^2 I)."""
        return self.sample_p(count, rng) + self._step().astype(np.float32)

    def truth(self, norm: str = "l2") -> float | None:
        """||t|| in ``norm``."""
        order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
        return float(np.linalg.norm(self._step(), order))

    def potential(self, points: Points) -> Values:
        """-<x, t> / ||t||."""
        direction = np.full(self.dim, -1 / math.sqrt(self.dim))
        return np.asarray(points, dtype=np.float64) @ direction


@dataclass(frozen=True)
class ScaledGaussians(Pair):
    """P = N(0, std_p^2 I) and Q = N(0, std_q^2 I).

    The coupling y = (std_q / std_p) x gives W1 <= |std_q - std_p| E||Z||, Z standard normal,
    and f(x) = +-||x||, which is 1-Lipschitz, attains it. E||Z|| = sqrt(2) Gamma((dim + 1) / 2)
    / Gamma(dim / 2). In l1 and linf the same argument holds with the norm exchanged; for l1,
    E||Z||_1 = dim sqrt(2 / pi).
    """

    dim: int = 10
    std_p: float = 1.0
    std_q: float = 2.0

    def sample_p(self, count: int, rng: np.random.Generator) -> Points:
        """Points of N(0, std_p^2 I)."""
        return rng.standard_normal((count, self.dim), dtype=np.float32) * np.float32(self.std_p)

    def sample_q(self, count: int, rng: np.random.Generator) -> Points:
        """Points of N(0, std_q^2 I)."""
        return rng.standard_normal((count, self.dim), dtype=np.float32) * np.float32(self.std_q)

    def truth(self, norm: str = "l2") -> float | None:
        """|std_q - std_p| E||Z||; None for linf beyond one dimension."""
        width = abs(self.std_q - self.std_p)
        if norm == "l1" or self.dim == 1:
            return width * self.dim * math.sqrt(2 / math.pi)
        if norm == "l2":
            ratio = math.lgamma((self.dim + 1) / 2) - math.lgamma(self.dim / 2)
            return width * math.sqrt(2) * math.exp(ratio)
        return None

    def potential(self, points: Points) -> Values:
        """sign(std_p - std_q) ||x||."""
        lengths: Values = np.linalg.norm(np.asarray(points, dtype=np.float64), axis=1)
        return math.copysign(1.0, self.std_p - self.std_q) * lengths


@dataclass(frozen=True)
class AxisMixture(Pair):
    """Gaussian mixtures along the first axis, the same standard normal in every other one.

    P = p1 x N(0, I) and Q = q1 x N(0, I) with one-dimensional mixtures p1, q1 of distribution
    functions F and G (each component of standard deviation ``std``). Moving along the axis only
    gives W1(P, Q) <= W1(p1, q1); projecting on the axis is 1-Lipschitz in every norm, which
    gives >=. So W1 = integral |F - G|, integrated in closed form between the sign changes of
    F - G, which are located to 1e-13; the potential has slope -sign(F - G) in x_1.
    """

    dim: int
    p_means: Sequence[float]
    q_means: Sequence[float]
    p_weights: Sequence[float]
    q_weights: Sequence[float]
    std: float = 0.5

    def __post_init__(self) -> None:
        for side, means, weights in (
            ("p", self.p_means, self.p_weights),
            ("q", self.q_means, self.q_weights),
        ):
            good = len(means) == len(weights) > 0 and min(weights) >= 0 and sum(weights) > 0
            if not good:
                raise UsageError(
                    f"distribution.{side}_weights: found {list(weights)} for the {len(means)} "
                    f"means {list(means)}; give one weight >= 0 a mean, not all zero"
                )

    def _sample(
        self,
        means: Sequence[float],
        weights: Sequence[float],
        count: int,
        rng: np.random.Generator,
    ) -> Points:
        points = rng.standard_normal((count, self.dim), dtype=np.float32)
        share = np.asarray(weights, dtype=np.float64)
        chosen = rng.choice(np.asarray(means, np.float32), size=count, p=share / share.sum())
        points[:, 0] = points[:, 0] * np.float32(self.std) + chosen
        return points

    def sample_p(self, count: int, rng: np.random.Generator) -> Points:
        """Points of the mixture of means ``p_means``."""
        return self._sample(self.p_means, self.p_weights, count, rng)

    def sample_q(self, count: int, rng: np.random.Generator) -> Points:
        """Points of the mixture of means ``q_means``."""
        return self._sample(self.q_means, self.q_weights, count, rng)

    def _signed(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and signed weights of F - G."""
        a, b = (np.asarray(w, dtype=np.float64) for w in (self.p_weights, self.q_weights))
        means = np.concatenate([self.p_means, self.q_means]).astype(np.float64)
        return means, np.concatenate([a / a.sum(), -b / b.sum()])

    def _difference(self, t: float | Values) -> Values:
        """F(t) - G(t)."""
        from scipy.special import ndtr

        means, weights = self._signed()
        return ndtr((np.asarray(t)[..., None] - means) / self.std) @ weights

    def _integral(self, t: Values) -> Values:
        """Antiderivative of F - G: sum w ((t - m) Phi(z) + std phi(z)), z = (t - m) / std."""
        from scipy.special import ndtr

        means, weights = self._signed()
        z = (np.asarray(t)[..., None] - means) / self.std
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return (self.std * (z * ndtr(z) + density)) @ weights

    def _grid(self) -> Values:
        """Points, ascending, 1/40 of ``std`` apart within 10 ``std`` of every mean.

        Farther from all means F - G is constant to rounding: it changes sign near one of them.
        """
        means = np.unique(self._signed()[0])
        return np.unique(means[:, None] + self.std * np.linspace(-10, 10, 801))

    @cached_property
    def _solution(self) -> tuple[float, Profile]:
        from scipy.optimize import brentq

        grid = self._grid()
        # A part at a time: components times points are many numbers.
        parts = np.array_split(grid, max(1, len(grid) // 256))
        v = np.concatenate([self._difference(part) for part in parts])
        sign = np.sign(np.where(np.abs(v) < 1e-15, 0.0, v))
        inner = np.flatnonzero(sign)  # beyond the tails F - G is zero to rounding
        changes = [
            brentq(lambda t: float(self._difference(t)), grid[i], grid[j], xtol=1e-13)
            for i, j in itertools.pairwise(inner)
            if sign[i] != sign[j]
        ]
        knots = np.array([grid[0], *changes, grid[-1]])
        pieces = np.diff(self._integral(knots))
        slopes = np.concatenate([[0.0], -np.sign(pieces), [0.0]])
        return float(np.abs(pieces).sum()), Profile(knots, slopes)

    def truth(self, norm: str = "l2") -> float | None:
        """integral |F - G|, in every norm."""
        return self._solution[0]

    def potential(self, points: Points) -> Values:
        """The one-dimensional potential of the first coordinate."""
        return self._solution[1](np.asarray(points, dtype=np.float64)[:, 0])
