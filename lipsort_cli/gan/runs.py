"""What a run left: a GAN's generator and its data; a critic, and the two samples it is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.certificates.points import load_network
from lipsort_cli.config.wgan import WganConfig
from lipsort_cli.data import Dataset
from lipsort_cli.errors import LipsortError
from lipsort_cli.finding import find_run
from lipsort_cli.gan.evaluation import SIDES, draw_rows
from lipsort_cli.identity import data_described, differences
from lipsort_cli.runs import read_record
from lipsort_cli.trained import NETWORK, own_data, run_config, run_data
from lipsort_cli.wasserstein.build import build_source
from lipsort_cli.wasserstein.sources import Measures
from lipsort_cli.wasserstein.training import COMPARED, stream
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
        return drawn.flatten(1).numpy()

    return draw


CRITIC = "critic.safetensors"
"""Of a `lipsort wgan` run: the critic that the generator was trained against."""


class CriticRun(NamedTuple):
    """The critic of a run, and the samples that its proven bound is about, rows [n, d]."""

    directory: Path
    network: Path
    samples: Measures
    norm: str
    name: str

    def rows(self, count: int) -> NDArray[np.float32]:
        """At most ``count`` points of both samples, as many of each, in the critic's shape."""
        half = (count + 1) // 2
        both = [np.asarray(side[:half], np.float32) for side in (self.samples.x, self.samples.y)]
        shape = load_network(self.network).input_shape
        return np.ascontiguousarray(np.concatenate(both)[:count].reshape(-1, *shape))


def open_critic(directory: str | Path, points: int = 0) -> CriticRun:
    """The critic of a finished run of `lipsort estimate-wasserstein` or `lipsort wgan`.

    ``points``: the first so many of each sample; 0: all. Of a generator's run the fresh critic that
    its bounds come from, where there is one, with the samples that were judged and test examples.

    Raises:
        LipsortError: files are missing, or the data have changed since.
    """
    directory = Path(directory)
    command = str(read_record(directory)["command"])
    config = run_config(directory, command)
    network = directory / NETWORK
    if command == "wgan":
        if not network.is_file():
            network = directory / CRITIC
        samples, name = _judged(directory, config), SIDES
        norm = config.norm if network.name == CRITIC else "l2"
    else:
        with own_data(directory):
            source = build_source(config)
        _require_same(directory, source.fingerprint)
        samples = source.compared(config.evaluation.points, stream(config.seed, COMPARED))
        name, norm = source.name, config.norm
    if not network.is_file():
        raise LipsortError(f"{network} is missing: {directory} is no finished run")
    if points:
        samples = Measures._make(None if part is None else part[:points] for part in samples)
    return CriticRun(directory, network, samples, norm, name)


def _require_same(directory: Path, fingerprint: dict[str, Any]) -> None:
    """Refuse samples that have changed since: a figure of others would look like the run's own."""
    recorded = read_record(directory).get("data") or {}
    lines = differences(data_described(fingerprint), data_described(recorded))
    if lines:
        raise LipsortError(
            f"the samples are not those that {directory} is about; put the original data back, or "
            "estimate anew on these:\n  " + "\n  ".join(lines)
        )


def _judged(directory: Path, config: WganConfig) -> Measures:
    dataset = run_data(directory, config.data)
    generator = load_generator(directory / GENERATOR)
    rows = draw_rows(generator, dataset, config.evaluation.samples, config.seed)
    x, y = (part.flatten(1).numpy() for part in (rows.generated, rows.test))
    return Measures(x, y)
