"""What samples are compared by: features of a classifier, or their coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.data import Dataset
from lipsort_cli.errors import LipsortError
from lipsort_cli.gan.evaluation.classifier import Classifier, chosen_classifier, small_classifier
from lipsort_cli.gan.evaluation.manifolds import nearest
from lipsort_cli.zoo.plain import plain_module

_BATCH = 1000
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
    return Features(
        f"last hidden layer ({width} units) of a classifier with {accuracy:.1%} test accuracy",
        embed,
        lambda points: _apply(module, points, device).argmax(1),
        {
            "origin": classifier.origin,
            "accuracy": accuracy,
            "evidence": "empirical",
            "features": width,
        },
    )


def _scaled(raw: Callable[[Tensor], Tensor], dataset: Dataset) -> Callable[[Tensor], Tensor]:
    """``raw`` in units of the training data: without them the kernel's shape would be arbitrary."""
    seen = raw(dataset.train.inputs[:_REFERENCE])
    centre = seen.mean(0)
    scale = float((seen - centre).square().mean().sqrt()) or 1.0
    return lambda points: (raw(points) - centre) / scale


@torch.no_grad()
def _apply(module: nn.Module, points: Tensor, device: torch.device) -> Tensor:
    return torch.cat([module(batch.to(device)).cpu() for batch in points.split(_BATCH)])
