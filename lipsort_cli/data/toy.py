"""Two-dimensional toy sets: points of the plane whose classes are modes, rings, arms or squares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.config.data import ToyData
from lipsort_cli.data.dataset import Dataset, Split, make_dataset
from lipsort_cli.errors import UsageError

Points = tuple[NDArray[np.float64], NDArray[np.int64]]


def _eight_gaussians(n: int, rng: np.random.Generator) -> Points:
    """Eight Gaussians on a circle of radius 2."""
    mode = rng.integers(8, size=n)
    angle = mode * (np.pi / 4)
    return 2 * np.stack([np.cos(angle), np.sin(angle)], 1), mode


def _grid_gaussians(n: int, rng: np.random.Generator) -> Points:
    """25 Gaussians on a 5 x 5 grid of spacing 1."""
    mode = rng.integers(25, size=n)
    return np.stack([mode % 5 - 2.0, mode // 5 - 2.0], 1), mode


def _swiss_roll(n: int, rng: np.random.Generator) -> Points:
    """A spiral of one turn and a half, scaled to radius about 2; two classes: inner and outer."""
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    points = 2 * np.stack([t * np.cos(t), t * np.sin(t)], 1) / (4.5 * np.pi)
    return points, (t > 3 * np.pi).astype(np.int64)


def _checkerboard(n: int, rng: np.random.Generator) -> Points:
    """The eight black squares of a 4 x 4 board on [-2, 2]^2."""
    square = rng.integers(8, size=n)
    row = square // 2
    column = 2 * (square % 2) + row % 2
    corner = np.stack([column - 2.0, row - 2.0], 1)
    return corner + rng.random((n, 2)), square


def _rings(n: int, rng: np.random.Generator) -> Points:
    """Three circles about the origin, of radii 0.5, 1.25 and 2."""
    ring = rng.integers(3, size=n)
    radius, angle = 0.5 + 0.75 * ring, 2 * np.pi * rng.random(n)
    circle = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return circle, ring


def _moons(n: int, rng: np.random.Generator) -> Points:
    """Two interleaved half circles of radius 1."""
    moon = rng.integers(2, size=n)
    angle = np.pi * rng.random(n)
    sign = 1.0 - 2 * moon
    points = np.stack([sign * np.cos(angle) + moon - 0.5, sign * (np.sin(angle) - 0.25)], 1)
    return points, moon


SETS: dict[str, tuple[int, Callable[[int, np.random.Generator], Points]]] = {
    "eight_gaussians": (8, _eight_gaussians),
    "grid_gaussians": (25, _grid_gaussians),
    "swiss_roll": (2, _swiss_roll),
    "checkerboard": (8, _checkerboard),
    "rings": (3, _rings),
    "moons": (2, _moons),
}
"""How many classes a set has, and what draws n points [n, 2], without noise, and classes [n]."""


def load_toy(config: ToyData) -> Dataset:
    """``config.points`` training points and a quarter as many for the test, float32 [n, 2].

    The points are part of the task, as the images of a data set are: they do not depend on the
    run's seed.

    Raises:
        UsageError: there is so much noise that points are infinite.
    """
    count, draw = SETS[config.pattern]
    splits = []
    for number, size in enumerate((config.points, max(20, config.points // 4))):
        rng = np.random.default_rng([0, number])
        points, labels = draw(size, rng)
        points = points + config.noise * rng.standard_normal((size, 2))
        with np.errstate(over="ignore"):
            inputs = torch.from_numpy(points.astype(np.float32))
        if not inputs.isfinite().all():
            raise UsageError(
                f"data.noise: found {config.noise}, with which points are no finite float32 "
                "numbers; allowed: less"
            )
        splits.append(Split(inputs, torch.from_numpy(labels.astype(np.int64))))
    return make_dataset(
        config.pattern, *splits, validation=config.validation, bounds=None, classes=count
    )
