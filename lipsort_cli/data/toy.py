"""Two-dimensional toy sets: points of the plane whose classes are modes, rings, arms or squares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.config.data import ToyData
from lipsort_cli.data.dataset import Dataset, Split, make_dataset

Points = tuple[NDArray[np.float64], NDArray[np.int64]]


def _eight_gaussians(n: int, noise: float, rng: np.random.Generator) -> Points:
    """Eight Gaussians on a circle of radius 2."""
    mode = rng.integers(8, size=n)
    angle = mode * (np.pi / 4)
    return 2 * np.stack([np.cos(angle), np.sin(angle)], 1) + noise * _normal(n, rng), mode


def _grid_gaussians(n: int, noise: float, rng: np.random.Generator) -> Points:
    """25 Gaussians on a 5 x 5 grid of spacing 1."""
    mode = rng.integers(25, size=n)
    return np.stack([mode % 5 - 2.0, mode // 5 - 2.0], 1) + noise * _normal(n, rng), mode


def _swiss_roll(n: int, noise: float, rng: np.random.Generator) -> Points:
    """A spiral of one turn and a half, scaled to radius about 2; two classes: inner and outer."""
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    points = 2 * np.stack([t * np.cos(t), t * np.sin(t)], 1) / (4.5 * np.pi)
    return points + noise * _normal(n, rng), (t > 3 * np.pi).astype(np.int64)


def _checkerboard(n: int, noise: float, rng: np.random.Generator) -> Points:
    """The eight black squares of a 4 x 4 board on [-2, 2]^2."""
    square = rng.integers(8, size=n)
    row = square // 2
    column = 2 * (square % 2) + row % 2
    corner = np.stack([column - 2.0, row - 2.0], 1)
    return corner + rng.random((n, 2)) + noise * _normal(n, rng), square


def _rings(n: int, noise: float, rng: np.random.Generator) -> Points:
    """Three circles about the origin, of radii 0.5, 1.25 and 2."""
    ring = rng.integers(3, size=n)
    radius, angle = 0.5 + 0.75 * ring, 2 * np.pi * rng.random(n)
    circle = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return circle + noise * _normal(n, rng), ring


def _moons(n: int, noise: float, rng: np.random.Generator) -> Points:
    """Two interleaved half circles of radius 1."""
    moon = rng.integers(2, size=n)
    angle = np.pi * rng.random(n)
    sign = 1.0 - 2 * moon
    points = np.stack([sign * np.cos(angle) + moon - 0.5, sign * (np.sin(angle) - 0.25)], 1)
    return points + noise * _normal(n, rng), moon


def _normal(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.standard_normal((n, 2))


SETS: dict[str, Callable[[int, float, np.random.Generator], Points]] = {
    "eight_gaussians": _eight_gaussians,
    "grid_gaussians": _grid_gaussians,
    "swiss_roll": _swiss_roll,
    "checkerboard": _checkerboard,
    "rings": _rings,
    "moons": _moons,
}
"""What draws n points [n, 2] and classes [n] of each set, by its name."""

_CLASSES = {
    "eight_gaussians": 8,
    "grid_gaussians": 25,
    "swiss_roll": 2,
    "checkerboard": 8,
    "rings": 3,
    "moons": 2,
}


def load_toy(config: ToyData) -> Dataset:
    """``config.points`` training points and a quarter as many for the test, float32 [n, 2].

    The points are part of the task, as the images of a data set are: they do not depend on the
    run's seed.
    """
    splits = []
    for number, count in enumerate((config.points, max(20, config.points // 4))):
        rng = np.random.default_rng([0, number])
        points, classes = SETS[config.pattern](count, config.noise, rng)
        with np.errstate(over="ignore"):  # said of every data set that has infinities
            inputs = torch.from_numpy(points.astype(np.float32))
        splits.append(Split(inputs, torch.from_numpy(classes.astype(np.int64))))
    return make_dataset(
        config.pattern,
        *splits,
        validation=config.validation,
        bounds=None,
        classes=_CLASSES[config.pattern],
    )
