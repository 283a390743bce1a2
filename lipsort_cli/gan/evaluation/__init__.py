"""How good a generator is, measured on fresh samples against data that nothing was trained on.

Every measure is taken twice: of generated samples against the test split, and of training examples
against the test split. The second says what the first would be for a perfect generator.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lipsort_cli.config.wgan import GanEvaluation
from lipsort_cli.console import console, plural
from lipsort_cli.data import Dataset
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.gan.evaluation.distance import Sides, fresh_bounds
from lipsort_cli.gan.evaluation.features import chosen_classifier, make_features
from lipsort_cli.gan.evaluation.measures import (
    DATA,
    GENERATED,
    Measure,
    add,
    add_classes,
    add_features,
    add_nearest,
    add_sliced,
)
from lipsort_cli.gan.evaluation.pictures import draw_neighbours, draw_quality, show
from lipsort_cli.training.seeds import mixed_seed
from lipsort_cli.wasserstein.transport import exact_transport
from lipsort_cli.zoo.generators import Generator, sample

__all__ = ["SIDES", "Judgement", "check", "draw_rows", "evaluate"]

_JUDGED, _SHOWN_TO_CRITIC, _SPLIT, _CRITIC = range(4)
"""Purposes of random numbers: none depends on how many another draws."""

SIDES = "generated samples against test data"
"""The two samples that a critic is asked about."""

_FEWEST = 4
"""Test examples that the measures need."""


def check(dataset: Dataset, config: GanEvaluation) -> None:
    """What :func:`evaluate` would refuse, found before anything is trained.

    Raises:
        UsageError: ``evaluation.classifier`` does not fit, or there are too few data.
    """
    if min(len(dataset.test), len(dataset.train) // 3) < _FEWEST:
        raise UsageError(
            f"data: {dataset.name} has {len(dataset.train)} training and {len(dataset.test)} test "
            f"examples; to judge a generator, {3 * _FEWEST} and {_FEWEST} are needed: add some, or "
            "hold out another share (data.test of folders and tables)"
        )
    if config.classifier is not None:
        chosen_classifier(config.classifier, dataset)


class Rows(NamedTuple):
    """Equally many rows of each: judged, in their place, and what both are compared with."""

    generated: Tensor
    train: Tensor
    test: Tensor
    others: Tensor
    """Training examples that are not among ``train``."""
    shown: Tensor
    """Generated samples that a critic is trained on."""


class Judgement(NamedTuple):
    """What was found: as ``results.json`` holds it under ``quality``, and as people look at it.

    ``show()`` prints a table and draws ``figures/neighbours.png`` and ``figures/quality.png``.
    """

    quality: dict[str, Any]
    show: Callable[[], None]


# The networks that are trained here are seeded by their own numbers, and disturb no others.
@torch.random.fork_rng(devices=[])
def evaluate(
    generator: Generator, dataset: Dataset, config: GanEvaluation, directory: Path, seed: int
) -> Judgement:
    """Judge ``generator`` by ``dataset``.

    Where a classifier is trained, it goes into ``classifier/`` of ``directory``. As many samples
    are judged as ``config.samples`` says, but no more than there are test examples, or half the
    training examples: sizes on both sides are equal, as most of these measures depend on them. The
    same generator, data and seed give the same numbers on the same machine.

    Raises:
        Interrupted: Ctrl-C; the run can be resumed.
        UsageError: see :func:`check`.
        LipsortError: the generator's samples are not finite.
    """
    check(dataset, config)
    device = generator.spread.device
    features = make_features(dataset, config.classifier, directory, device)
    rows = draw_rows(generator, dataset, config.samples, seed)
    console.print("comparing samples and data")
    measures: dict[str, Measure] = {}
    embedded = {
        GENERATED: features.embed(rows.generated).to(device),
        DATA: features.embed(rows.train).to(device),
    }
    reference = features.embed(rows.test).to(device)
    shares: dict[str, list[float]] = {}
    for row, points in ((GENERATED, rows.generated), (DATA, rows.train)):
        add_sliced(measures, row, points, rows.test, config.sliced, seed)
        add_features(measures, row, embedded[row], reference, features.about, config.neighbours)
        found = add_classes(measures, row, points, rows.test, features, dataset.classes)
        if found is not None:
            shares[row] = found[0].tolist()
            shares["test"] = found[1].tolist()
        judged = rows.generated if row == GENERATED else rows.test
        add_nearest(measures, row, judged, dataset.train.inputs, device)
    if config.transport_points:
        _add_transport(measures, rows, config.transport_points)
    if config.critic_steps:
        _add_bounds(measures, rows, config, seed, device, directory)
    quality: dict[str, Any] = {
        "samples": len(rows.generated),
        "against": f"{plural(len(rows.test), 'example')} of the test split",
        "features": features.about,
        "measures": {key: measure.entry() for key, measure in measures.items()},
    }
    if features.classifier is not None:
        quality["classifier"] = features.classifier
    if shares:
        quality["class_shares"] = {**shares, "evidence": "empirical"}

    def present() -> None:
        show(measures, len(rows.generated), features.about)
        figures = directory / "figures"
        draw_neighbours(figures / "neighbours.png", rows.generated, dataset, device)
        title = f"{dataset.name}: quality of the generator"
        draw_quality(figures / "quality.png", measures, shares or None, title)

    return Judgement(quality, present)


def draw_rows(generator: Generator, dataset: Dataset, wanted: int, seed: int) -> Rows:
    """Fresh samples and the examples they are judged by, ``wanted`` of each if there are so many.

    Raises:
        LipsortError: the samples are not finite.
    """
    train, test = dataset.train.inputs, dataset.test.inputs
    count = min(wanted, len(test), len(train) // 2)
    random = torch.Generator().manual_seed(mixed_seed(seed, _SPLIT, 0))
    order = torch.randperm(len(train), generator=random)
    chosen = torch.randperm(len(test), generator=random)[:count]
    generated, shown = (
        sample(generator, count, mixed_seed(seed, purpose, 0))
        for purpose in (_JUDGED, _SHOWN_TO_CRITIC)
    )
    if not (bool(generated.isfinite().all()) and bool(shown.isfinite().all())):
        raise LipsortError("the generator's samples are not finite: lower generator.lr")
    return Rows(generated, train[order[:count]], test[chosen], train[order[count:]], shown)


def _add_transport(measures: dict[str, Measure], rows: Rows, points: int) -> None:
    count = min(points, len(rows.test))
    console.print(f"exact transport of {count:,} + {count:,} samples, twice")
    method = (
        f"exact transport (its dual, rounded down) of {count:,} + {count:,} samples, L2 in raw "
        "units; of samples, which is more than of the distributions"
    )
    title = f"W1 of {count:,} samples >="
    test = rows.test[:count].flatten(1).numpy()
    for row, some in ((GENERATED, rows.generated), (DATA, rows.train)):
        lower = exact_transport(some[:count].flatten(1).numpy(), test).lower
        add(measures, row, "w1_transport", max(0.0, lower), title, method, evidence="proven")


def _add_bounds(
    measures: dict[str, Measure],
    rows: Rows,
    config: GanEvaluation,
    seed: int,
    device: torch.device,
    run: Path,
) -> None:
    count = len(rows.test)
    words = f"a fresh critic, {config.critic_steps} steps, on {count:,} + {count:,} samples that "
    halves = rows.others.flatten(1).tensor_split(2)
    flat = [rows.others.flatten(1).numpy(), *(half.numpy() for half in halves)]
    generated, train, test, shown = (
        part.flatten(1).numpy() for part in (rows.generated, rows.train, rows.test, rows.shown)
    )
    pairs = (
        (GENERATED, Sides(SIDES, (shown, flat[0]), (generated, test))),
        (DATA, Sides("data against data", (flat[1], flat[2]), (train, test))),
    )
    for row, sides in pairs:
        console.print(f"a fresh critic: {sides.name}")
        lower, population = fresh_bounds(
            sides,
            steps=config.critic_steps,
            confidence=config.confidence,
            seed=mixed_seed(seed, _CRITIC, 0),
            device=device,
            run=run,
            certificate=run if config.certificate and row == GENERATED else None,
        )
        add(
            measures, row, "w1_lower", lower.value, "W1 of all samples >=",
            f"{words}it never saw; L2 in raw units", evidence="proven",
        )  # fmt: skip
        add(
            measures, row, "w1_population_lower", population.value, "W1 of distributions >=",
            f"{words}nothing was trained on; betting bound, by itself; L2 in raw units",
            evidence=population.evidence,
        )  # fmt: skip
