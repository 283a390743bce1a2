"""What a run of `lipsort wgan` left: its generator, and the data it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.data import Dataset
from lipsort_cli.finding import find_run
from lipsort_cli.trained import run_config, run_data
from lipsort_cli.zoo.generators import Generator, load_generator, sample

GENERATOR = "generator.safetensors"


class TrainedGenerator(NamedTuple):
    """The generator of a finished run, and its data."""

    directory: Path
    generator: Generator
    dataset: Dataset


def open_generator(run: str | None) -> TrainedGenerator:
    """The generator in the run directory ``run``; None: the newest finished run.

    Raises:
        UsageError: no such run, or one of another command.
        LipsortError: files are missing or damaged, or the data have changed since.
    """
    directory = find_run(run, ("wgan",))
    generator = load_generator(directory / GENERATOR)
    return TrainedGenerator(
        directory, generator, run_data(directory, run_config(directory, "wgan").data)
    )


def sampler(
    generator: Generator, device: torch.device | None = None
) -> Callable[[int, np.random.Generator], NDArray[np.float32]]:
    """Draws ``count`` fresh samples as rows [count, d], with noise seeded by the given numbers."""
    if device is not None:
        generator = generator.to(device)

    def draw(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        drawn = sample(generator, count, int(rng.integers(2**63)))
        rows: NDArray[np.float32] = drawn.flatten(1).numpy()
        return rows

    return draw
