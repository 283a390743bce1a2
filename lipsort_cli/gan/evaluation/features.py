"""What samples are compared by: features of a classifier, given or small, or their coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lipsort_cli.certificates.points import load_network
from lipsort_cli.config.activations import ReluActivation
from lipsort_cli.config.constraints import NoConstraint
from lipsort_cli.config.learning import AdamOptimizer, CosineSchedule, CrossEntropyLoss
from lipsort_cli.config.models import MlpModel
from lipsort_cli.config.train import TrainConfig, Training
from lipsort_cli.console import console
from lipsort_cli.data import Dataset
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import read_json, write_json
from lipsort_cli.finding import find_run
from lipsort_cli.gan.evaluation.manifolds import nearest
from lipsort_cli.identity import Identity
from lipsort_cli.runs import read_record
from lipsort_cli.training import engine
from lipsort_cli.training.checkpoint import checkpoint_path
from lipsort_cli.training.classifier import ClassifierTask, steps_an_epoch
from lipsort_cli.verifier.graph import Network
from lipsort_cli.zoo import build_network, save_network
from lipsort_cli.zoo.plain import plain_module

FOLDER = "classifier"
"""Of a `lipsort wgan` run: where the small classifier lies."""
MODEL = "model.safetensors"
_NOTE = "classifier.json"

_BATCH = 128
_SEED = 0
_STEPS = 1000
"""Training steps of the small classifier: seconds; at least one pass over the data."""


class Classifier(NamedTuple):
    """A saved classifier, and where it came from."""

    path: Path
    network: Network
    origin: str


def chosen_classifier(run: str, dataset: Dataset) -> Classifier:
    """That of ``evaluation.classifier=RUN``.

    Raises:
        UsageError: no such run, or its classifier is of other data.
    """
    try:
        directory = find_run(run, ("train", "wgan"))
    except UsageError as error:
        raise UsageError(f"evaluation.classifier: {error}") from None
    record = read_record(directory)
    path = directory / MODEL if record["command"] == "train" else directory / FOLDER / MODEL
    if not path.is_file():
        raise UsageError(
            f"evaluation.classifier: {directory} holds no classifier ({path} is missing); give a "
            f"run of `lipsort train data={dataset.name}`"
        )
    network = load_network(path)
    data = record.get("data")
    name = data.get("name") if isinstance(data, dict) else None
    found = (name, network.input_shape, network.classes)
    if found != (dataset.name, dataset.input_shape, dataset.classes):
        raise UsageError(
            f"evaluation.classifier: {directory} classifies {name} (inputs "
            f"{list(network.input_shape)}, {network.classes} classes); the data here are "
            f"{dataset.name} ({list(dataset.input_shape)}, {dataset.classes} classes): give a run "
            f"of `lipsort train data={dataset.name}`"
        )
    return Classifier(path, network, str(directory))


def small_classifier(dataset: Dataset, directory: Path, device: torch.device) -> Classifier:
    """A fully connected ReLU network, trained within seconds, or the one that was before.

    It depends on the training split only (its seed is fixed), so that generators of the same data
    are judged by the same features.

    Raises:
        Interrupted: Ctrl-C; what was trained is kept, and the run in ``directory`` goes on with it.
    """
    folder = directory / FOLDER
    digest = dataset.fingerprint["sha256"]
    note = folder / _NOTE
    if not (note.is_file() and read_json(note).get("data") == digest):
        folder.mkdir(parents=True, exist_ok=True)
        console.print("training a small classifier, whose features are compared")
        _train(dataset, directory, device)
        write_json(note, {"data": digest, "name": dataset.name})
        checkpoint_path(folder).unlink(missing_ok=True)
    return Classifier(folder / MODEL, load_network(folder / MODEL), "trained for this, seed 0")


def _train(dataset: Dataset, directory: Path, device: torch.device) -> None:
    folder = directory / FOLDER
    epochs = max(1, round(_STEPS / steps_an_epoch(len(dataset.train), _BATCH)))
    config = TrainConfig(
        model=MlpModel(widths=[512, 256]),
        activation=ReluActivation(),
        constraint=NoConstraint(),
        optimizer=AdamOptimizer(lr=1e-3),
        schedule=CosineSchedule(),
        loss=CrossEntropyLoss(),
        training=Training(epochs=epochs, batch_size=_BATCH),
        seed=_SEED,
    )
    torch.manual_seed(_SEED)
    network = build_network(
        config.model, config.activation, config.constraint, dataset.input_shape, dataset.classes
    ).to(device)
    task = ClassifierTask(config, dataset, network, device)
    identity = Identity(data=dataset.fingerprint["sha256"])
    session = engine.Session(
        folder, "wgan", resume=directory, identity=identity, seed=_SEED, alone=True
    )
    engine.run(task, session)
    save_network(network, folder / MODEL)


_EMBEDDED = 1000
"""Samples that are embedded at a time."""
_FEW = 8
"""Coordinates up to which points are compared as they are."""
_REFERENCE = 10_000
"""Training points that fix the units of the features."""


@dataclass(frozen=True)
class Features:
    """Maps samples [n, *shape] to features [n, d], centred, of mean square norm d on the data.

    ``classify`` gives labels [n] where samples can be told apart; ``about`` says in words what the
    features are; ``classifier`` is JSON-ready.
    """

    about: str
    embed: Callable[[Tensor], Tensor]
    classify: Callable[[Tensor], Tensor] | None = None
    classifier: dict[str, Any] | None = None


def make_features(
    dataset: Dataset, run: str | None, directory: Path, device: torch.device
) -> Features:
    """Features of the classifier of ``run``, or those that fit the data.

    Points of a few coordinates are compared by these, and classified by their nearest training
    example. Images of one class, where no classifier can be trained, are compared by pixels. For
    all others a small classifier is trained.

    Raises:
        UsageError: the run does not fit the data.
    """
    if run is not None:
        return _of_classifier(chosen_classifier(run, dataset), dataset, device)
    if math.prod(dataset.input_shape) <= _FEW:
        labels = dataset.train.labels
        known = dataset.train.inputs.flatten(1)

        def classify(points: Tensor) -> Tensor:
            return labels[nearest(points.flatten(1), known).rows[:, 0]]

        embed = _scaled(lambda points: points.flatten(1), dataset)
        return Features("coordinates", embed, classify if dataset.classes > 1 else None)
    if dataset.classes < 2:
        return Features("pixels", _scaled(lambda points: points.flatten(1), dataset))
    return _of_classifier(small_classifier(dataset, directory, device), dataset, device)


def _of_classifier(classifier: Classifier, dataset: Dataset, device: torch.device) -> Features:
    try:
        module = plain_module(classifier.network).to(device)
        predicted = _apply(module, dataset.test.inputs, device).argmax(1)
        accuracy = float((predicted == dataset.test.labels).double().mean())
    except (TypeError, RuntimeError) as error:
        raise LipsortError(
            f"the classifier of {classifier.origin} cannot be evaluated: {error}"
        ) from error
    body = module[:-1]
    embed = _scaled(lambda points: _apply(body, points, device).flatten(1), dataset)
    width = embed(dataset.test.inputs[:1]).shape[1]
    about = {"origin": classifier.origin, "accuracy": accuracy, "evidence": "empirical"}
    return Features(
        f"last hidden layer ({width} units) of a classifier with {accuracy:.1%} test accuracy",
        embed,
        lambda points: _apply(module, points, device).argmax(1),
        {**about, "features": width},
    )


def _scaled(raw: Callable[[Tensor], Tensor], dataset: Dataset) -> Callable[[Tensor], Tensor]:
    """``raw`` in units of the training data: without them the kernel's shape would be arbitrary."""
    seen = raw(dataset.train.inputs[:_REFERENCE])
    centre = seen.mean(0)
    scale = float((seen - centre).square().mean().sqrt()) or 1.0
    return lambda points: (raw(points) - centre) / scale


@torch.no_grad()
def _apply(module: nn.Module, points: Tensor, device: torch.device) -> Tensor:
    return torch.cat([module(batch.to(device)).cpu() for batch in points.split(_EMBEDDED)])
