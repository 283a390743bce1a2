"""Spheres, in any dimension: several cones side by side; concentric cones, shells and rings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsort_cli.data.distributions.base import (
    Pair,
    Points,
    Profile,
    Values,
    atoms_distance,
    ball_diameter,
    unit_sphere,
)
from lipsort_cli.errors import UsageError


@dataclass(frozen=True)
class Cones(Pair):
    """P: equal point masses at ``count`` centres; Q: uniform on the spheres around them.

    The centres c_i lie on the first axis, ``spacing`` apart, centred at 0; every sphere has
    ``radius`` R. Moving each point mass onto its own sphere costs R, so W1 <= R. The potential
    f(x) = -min_i ||x - c_i|| is 1-Lipschitz, 0 at the centres, and -R on every sphere, since a
    point of sphere i is at least spacing - R >= R away from every other centre. So W1 = R,
    if spacing >= 2 R.

    The paper's three cones: count 3, spacing 2, radius 1, dim 2; its absolute value:
    count 1, radius 1, dim 1, where f(x) = -|x|.
    """

    dim: int = 2
    count: int = 3
    spacing: float = 2.0
    radius: float = 1.0

    def __post_init__(self) -> None:
        if self.count > 1 and self.spacing < 2 * self.radius:
            raise UsageError(
                f"distribution.spacing: found {self.spacing}, with distribution.radius "
                f"{self.radius}; the true distance is known for spacing >= 2 * radius"
            )

    def centres(self) -> Points:
        """The centres, float32 [count, dim]."""
        centres = np.zeros((self.count, self.dim), dtype=np.float32)
        centres[:, 0] = (np.arange(self.count) - (self.count - 1) / 2) * self.spacing
        return centres

    def sample_p(self, count: int, rng: np.random.Generator) -> Points:
        """Centres, drawn with equal probability."""
        centres = self.centres()
        return centres[rng.integers(self.count, size=count)]

    def sample_q(self, count: int, rng: np.random.Generator) -> Points:
        """Points of the spheres around the centres."""
        sphere = unit_sphere(count, self.dim, rng) * np.float32(self.radius)
        return self.sample_p(count, rng) + sphere

    def truth(self, norm: str = "l2") -> float | None:
        """The radius; in other norms than l2 only on the line."""
        return self.radius if norm == "l2" or self.dim == 1 else None

    def potential(self, points: Points) -> Values:
        """-min_i ||x - c_i||."""
        gaps = np.asarray(points, dtype=np.float64)[:, None] - self.centres()[None]
        return -np.linalg.norm(gaps, axis=2).min(axis=1)

    def diameters(self, norm: str = "l2") -> tuple[float, float] | None:
        """The row of centres, and that row with a sphere at both ends."""
        row = (self.count - 1) * self.spacing
        factor = self.dim**0.5 if norm == "l1" else 1.0
        return row, row + 2 * self.radius * factor


@dataclass(frozen=True)
class Spheres(Pair):
    """Uniform measures on concentric spheres: P on radii ``p``, Q on radii ``q``.

    Every radius of a list has the same mass; radius 0 is a point mass. Let F and G be the laws
    of ||x|| under P and Q. Coupling along rays moves each point radially, at the cost of the
    one-dimensional optimal coupling of the radii, so W1(P, Q) <= W1(F, G). With u the optimal
    1-Lipschitz potential of (F, G), f(x) = u(||x||) is 1-Lipschitz and attains W1(F, G). Hence

        W1(P, Q) = W1(F, G) = integral |F(r) - G(r)| dr.

    The paper's high-dimensional cone is p = [0], q = [1]: W1 = 1 and f(x) = -||x||.
    Shells of radii r and R: W1 = |R - r|.
    """

    dim: int
    p: Sequence[float]
    q: Sequence[float]

    def __post_init__(self) -> None:
        for key, radii in (("p", self.p), ("q", self.q)):
            if not len(radii) or not np.isfinite(radii).all() or min(radii) < 0:
                raise UsageError(
                    f"distribution radii of {key}: found {list(radii)}; "
                    "give at least one finite radius >= 0"
                )

    def _sample(self, radii: Sequence[float], count: int, rng: np.random.Generator) -> Points:
        if max(radii) == 0:
            return np.zeros((count, self.dim), dtype=np.float32)
        points = unit_sphere(count, self.dim, rng)
        if len(radii) == 1:
            return points * np.float32(radii[0])
        chosen = np.asarray(radii, dtype=np.float32)[rng.integers(len(radii), size=count)]
        return points * chosen[:, None]

    def sample_p(self, count: int, rng: np.random.Generator) -> Points:
        """Points of the spheres of radii ``p``."""
        return self._sample(self.p, count, rng)

    def sample_q(self, count: int, rng: np.random.Generator) -> Points:
        """Points of the spheres of radii ``q``."""
        return self._sample(self.q, count, rng)

    def _radial(self) -> tuple[float, Profile]:
        return atoms_distance(self.p, np.ones(len(self.p)), self.q, np.ones(len(self.q)))

    def truth(self, norm: str = "l2") -> float | None:
        """The distance of the radii; in other norms than l2 only on the line."""
        return self._radial()[0] if norm == "l2" or self.dim == 1 else None

    def potential(self, points: Points) -> Values:
        """u(||x||)."""
        lengths = np.linalg.norm(np.asarray(points, dtype=np.float64), axis=1)
        return self._radial()[1](lengths)

    def diameters(self, norm: str = "l2") -> tuple[float, float] | None:
        """Twice the largest radius of each side (times sqrt(dim) in l1)."""
        return (
            ball_diameter(max(self.p), self.dim, norm),
            ball_diameter(max(self.q), self.dim, norm),
        )
