"""What the commands need of a trained run: its configuration, its network, its test data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.certificates.files import NETWORK
from lipsort_cli.certificates.points import load_network, provable_arithmetic
from lipsort_cli.config import plugins
from lipsort_cli.config.certificates import DEFAULT_EPS
from lipsort_cli.config.typed import from_plain, to_typed
from lipsort_cli.console import command_line, plural, say
from lipsort_cli.data import Dataset, load
from lipsort_cli.data.taken import Taken
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import paths_from, read_yaml, resolved
from lipsort_cli.runs import read_record, require_provable, started_in
from lipsort_cli.verifier.graph import Network

CLASSIFIERS = ("train", "import")
"""Commands whose runs hold a classifier."""
PLACES = ("path", "root")
"""Keys of a data configuration that name files."""


class TrainedRun(NamedTuple):
    """``inputs`` float32 ``[N, *shape]``, ``labels`` int64 ``[N]``: the first points of the test
    set; ``bounds``: the range of raw inputs, where it is known."""

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


def open_run(directory: str | Path, points: int = 0, data: Any = None) -> TrainedRun:
    """Load a classifier's run, with its first ``points`` test points (0: all of them).

    ``data``: those of an imported network; None: what the run itself names.

    Raises LipsortError when files are missing, or the data can no longer be loaded or are not
    those of the run.
    """
    directory = Path(directory)
    require_provable(directory)
    if not (directory / NETWORK).is_file():
        raise LipsortError(
            f"{directory / NETWORK} is missing: {directory} is no finished training run"
        )
    config, dataset = judged_on(directory, data)
    inputs, labels = fitting(dataset, load_network(directory / NETWORK), points)
    return TrainedRun(directory, config, inputs, labels, dataset.bounds, dataset.name)


def say_taken(asked: int, taken: int, owner: str) -> None:
    """Say that ``owner`` has fewer points than were asked for, if by default; 0 asks for all."""
    if taken < asked:
        say(f"points={asked}: {owner} has {taken:,}, all taken")


class Predictor(NamedTuple):
    """A run's network, what it takes, norm and arithmetic of its evaluation, and how its data are
    configured."""

    network: Network
    taken: Taken
    norm: str
    arithmetic: str
    data: Any


def open_predictor(directory: str | Path) -> Predictor:
    """What is needed of a finished run to predict; its data need not be there any more.

    Raises LipsortError when files are missing, or ``run.json`` does not say how inputs were read.
    """
    directory = Path(directory)
    record = read_record(directory)
    config, recorded = run_config(directory, str(record["command"])), record.get("data")
    # Of a network imported without data nothing is known of inputs but their shape.
    known = isinstance(recorded, dict) and "inputs" in recorded
    if not known and (recorded is not None or record["command"] != "import"):
        raise LipsortError(
            f"{directory / 'run.json'} does not say how the run's inputs were read, so new data "
            "cannot be compared with them; train again"
        )
    network = load_network(directory / NETWORK)
    taken = Taken.of(recorded, network.input_shape, network.classes)
    norm, arithmetic, _ = resolve_claim(config, network)
    return Predictor(network, taken, norm, arithmetic, config.data)


def judged_on(directory: Path, data: Any = None) -> tuple[Any, Dataset]:
    """The configuration of a classifier's run, and the data that it is judged on.

    An imported network may be judged on any ``data``, and must be where it was imported without.
    """
    command = str(read_record(directory)["command"])
    config = run_config(directory, command)
    if data is not None and command != "import":
        raise UsageError(
            f"data: found {data.name}; {directory} is a run of `lipsort {command}`, which is "
            "judged on its own data: leave it out"
        )
    if data is not None:
        return config, load(data)
    if config.data is None:
        raise UsageError(
            f"data: required, and not given; {directory} is a network imported without data: "
            "add data=OPTION"
        )
    return config, run_data(directory, config.data)


def fitting(
    dataset: Dataset, network: Network, points: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The first ``points`` test points (0: all) as the network takes them, and their labels.

    Inputs are in the network's shape: theirs, or flat where the network takes flat ones.

    Raises UsageError where they do not fit, have more classes than the network has outputs, or one
    alone, as pictures without labels. One output is no classifier's, and labels are nothing to it.
    """
    count = points or len(dataset.test.labels)
    inputs = dataset.test.inputs[:count].numpy()
    shape, wanted = inputs.shape[1:], network.input_shape
    if shape != wanted and (len(wanted) > 1 or math.prod(shape) != wanted[0]):
        raise UsageError(
            f"data: found inputs of shape {list(shape)}; the network takes {list(wanted)}"
        )
    if network.classes > 1 and not 1 < dataset.classes <= network.classes:
        raise UsageError(
            f"data: found {dataset.name}, of {plural(dataset.classes, 'class', 'classes')}; "
            f"allowed: labels of two or more classes, of which the network has {network.classes}"
        )
    labels = dataset.test.labels[:count].numpy().astype(np.int64)
    return np.ascontiguousarray(inputs.reshape(len(inputs), *wanted)), labels


def run_config(directory: Path, command: str) -> Any:
    """The typed configuration that a run of ``command`` recorded in ``directory``.

    Raises LipsortError where it is missing or cannot be read.
    """
    path = directory / ".hydra" / "config.yaml"
    plain = read_yaml(path)
    if isinstance(plain, dict) and isinstance(plain.get("plugins"), list):
        try:
            plugins.load(plain["plugins"])
        except UsageError as error:
            began = started_in(directory)
            where = f"; the run was started in {began}" if began else ""
            raise UsageError(f"{directory}: {error}{where}") from error
    try:
        return to_typed(from_plain(plain, command), command)
    except UsageError as error:
        # Nobody typed this configuration: it is the file that is at fault.
        first, *rest = str(error).splitlines()
        raise LipsortError(
            "\n".join([f"{path}: damaged, or of another version of lipsort: {first}", *rest])
        ) from None


@contextmanager
def own_data(directory: Path) -> Iterator[None]:
    """Paths are those of the folder that the run in ``directory`` was started in.

    What is raised as UsageError is raised as LipsortError: nobody named these data in this command.
    """
    try:
        with paths_from(started_in(directory)):
            yield
    except UsageError as error:
        record = read_record(directory)
        places = record.get("configuration", {}).get("places", {})
        moved = [(key, "PLACE") for key, place in places.items() if place is not None]
        again = command_line("lipsort", record["command"], ("resume", directory), *moved)
        raise LipsortError(
            f"{directory}: its own data cannot be read again: {error}; put them back where they "
            "were: a link will do" + (f"; or `{again}` says where they are now" if moved else "")
        ) from error


def run_data(directory: Path, data: Any) -> Dataset:
    """The data set of the configuration node ``data`` of the run in ``directory``.

    Raises LipsortError where it cannot be loaded, or has changed since.
    """
    with own_data(directory):
        dataset = load(data)
    require_same_data(directory, data, dataset.fingerprint)
    return dataset


def resolve_claim(
    config: Any,
    network: Network,
    norm: str | None = None,
    arithmetic: str | None = None,
    eps: list[float] | None = None,
) -> tuple[str, str, list[float]]:
    """Norm, arithmetic and radii of a command on the run of ``config``; None: its evaluation's.

    The run's radii mean something in its own norm only; for another there are defaults. An imported
    network was evaluated in binary32, where that can be proven.
    """
    own = config.evaluation
    norm = own.norm if norm is None else norm
    if arithmetic is None:
        arithmetic = provable_arithmetic(network, *filter(None, [getattr(own, "arithmetic", None)]))
    if eps is None:
        eps = own.eps if norm == own.norm else DEFAULT_EPS[norm]
    return norm, arithmetic, sorted(float(value) for value in eps)


def require_same_data(directory: Path, data: Any, fingerprint: dict[str, Any]) -> None:
    """Refuse data that have changed since the run in ``directory`` was trained on them.

    A network judged on other points than those held out from it would get figures that look like
    its own. ``data`` is the run's configuration of them, ``fingerprint`` that of what was loaded.
    """
    recorded = read_record(directory).get("data")
    expected = recorded.get("sha256") if isinstance(recorded, dict) else None
    where = next((getattr(data, key) for key in PLACES if hasattr(data, key)), None)
    name = f"data={data.name}" + (f" ({resolved(where).resolve()})" if where else "")
    if not isinstance(expected, str):
        raise LipsortError(
            f"{directory / 'run.json'} does not say which data the run was trained on, so {name} "
            "cannot be compared with them; train again"
        )
    if fingerprint["sha256"] != expected:
        raise LipsortError(
            f"{name} is not the data that {directory} was trained on: found SHA-256 "
            f"{fingerprint['sha256'][:12]}..., the run recorded {expected[:12]}...; put the "
            "original data back, or train again on these"
        )
