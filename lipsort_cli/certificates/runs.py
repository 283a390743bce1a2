"""What the commands need of a trained run: its configuration, its network, its test data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.errors import LipsortError

NETWORK = "model.safetensors"


class TrainedRun(NamedTuple):
    """``inputs`` float32 ``[N, *shape]``, ``labels`` int64 ``[N]``: the first points of the test
    set; ``bounds``: the range of raw inputs, where it is known; ``eps``: the run's own radii."""

    directory: Path
    config: Any
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    bounds: tuple[float, float] | None
    name: str

    @property
    def network(self) -> Path:
        """The file with the network's weights."""
        return self.directory / NETWORK


def open_run(directory: str | Path, points: int = 0) -> TrainedRun:
    """Load what a training run left, with its first ``points`` test points (0: all of them).

    Raises LipsortError when files are missing or the data can no longer be loaded.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from lipsort_cli.config.typed import from_plain, to_typed
    from lipsort_cli.data import load

    directory = Path(directory)
    path = directory / ".hydra" / "config.yaml"
    for file in (path, directory / NETWORK):
        if not file.is_file():
            raise LipsortError(f"{file} is missing: {directory} is no finished training run")
    try:
        plain = OmegaConf.load(path)
    except (OSError, YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise LipsortError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
    config = to_typed(from_plain(plain, "train"), "train")
    dataset = load(config.data)
    count = len(dataset.test.labels) if points == 0 else min(points, len(dataset.test.labels))
    return TrainedRun(
        directory,
        config,
        np.ascontiguousarray(dataset.test.inputs[:count].numpy()),
        dataset.test.labels[:count].numpy().astype(np.int64),
        dataset.bounds,
        dataset.name,
    )
