"""Every measure of a sample against data, each with its evidence and which way is better."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipsort_cli.console import plural
from lipsort_cli.gan.evaluation.features import Features
from lipsort_cli.gan.evaluation.kernel import Estimate, kernel_distance
from lipsort_cli.gan.evaluation.manifolds import nearest, precision_recall
from lipsort_cli.wasserstein.bounds import projected_distances

GENERATED, DATA = "generated", "data"
"""The two rows: what is judged, and the data's own training examples in its place."""

_COPIES = 1000
"""Samples whose nearest training example is looked for."""


@dataclass
class Measure:
    """One measure of both rows; ``better`` is lower, higher, or None where neither is."""

    title: str
    evidence: str
    better: str | None
    method: str
    values: dict[str, Estimate] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """JSON-ready."""
        rows = {
            row: {
                "value": value.value,
                **({"standard_error": value.standard_error} if value.standard_error > 0 else {}),
            }
            for row, value in self.values.items()
        }
        kind = {"evidence": self.evidence, "better": self.better}
        return {**rows, **kind, "title": self.title, "method": self.method}


Measures = dict[str, Measure]


def add(
    measures: Measures,
    row: str,
    key: str,
    value: Estimate | float,
    title: str,
    method: str,
    *,
    better: str | None = "lower",
    evidence: str = "empirical",
) -> None:
    """A row's value of a measure, which is begun with the first."""
    found = measures.setdefault(key, Measure(title, evidence, better, method))
    found.values[row] = value if isinstance(value, Estimate) else Estimate(float(value), 0.0)


def add_sliced(
    measures: Measures, row: str, sample: Tensor, reference: Tensor, lines: int, seed: int
) -> None:
    """Mean W1 over random projections, in units of the samples."""
    x, y = sample.flatten(1).numpy(), reference.flatten(1).numpy()
    # Both rows are projected on the same lines.
    values = projected_distances(x, y, lines, np.random.default_rng([seed, 0]))
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    add(
        measures, row, "sliced_w1", Estimate(float(values.mean()), error), "sliced W1",
        f"mean W1 of projections on {lines} random lines, in raw units; +- its standard error over "
        "lines",
    )  # fmt: skip


def add_features(
    measures: Measures, row: str, sample: Tensor, reference: Tensor, about: str, neighbours: int
) -> None:
    """Kernel distance, precision and recall on features [n, d] and [m, d]."""
    k = min(neighbours, min(len(sample), len(reference)) - 1)
    add(
        measures, row, "kernel_distance", kernel_distance(sample, reference), "kernel distance",
        "unbiased squared MMD, kernel (u.v / d + 1)^3 (as KID); +- its jackknife standard error; "
        f"on {about}",
    )  # fmt: skip
    manifolds = precision_recall(sample, reference, k)
    for key, value, words in (
        ("precision", manifolds.precision, "samples that lie in the data's manifold"),
        ("recall", manifolds.recall, "data that lie in the samples' manifold"),
    ):
        method = f"share of {words}, {k} nearest neighbours; on {about}"
        add(measures, row, key, value, key, method, better="higher")


def add_classes(
    measures: Measures,
    row: str,
    sample: Tensor,
    reference: Tensor,
    features: Features,
    classes: int,
) -> tuple[Tensor, Tensor] | None:
    """Shares of the predicted classes of both [classes]; None where nothing classifies."""
    if features.classify is None:
        return None
    shares = class_shares(features.classify(sample), classes)
    expected = class_shares(features.classify(reference), classes)
    add(
        measures, row, "classes_covered", covered(shares, expected),
        f"classes covered, of {int((expected > 0).sum())}",
        "predicted classes with at least a tenth of their share in the data",
        better="higher",
    )  # fmt: skip
    add(
        measures, row, "class_imbalance", imbalance(shares, expected), "class imbalance",
        "total variation distance of the predicted classes' shares from the data's",
    )  # fmt: skip
    return shares, expected


def add_nearest(
    measures: Measures, row: str, sample: Tensor, train: Tensor, device: torch.device
) -> None:
    """How far samples are from the training data: nearer than fresh data are means copied."""
    some = sample[:_COPIES].flatten(1).to(device)
    distances = nearest(some, train.flatten(1).to(device)).distances[:, 0]
    add(
        measures, row, "nearest_training", float(distances.median()), "nearest training example",
        f"median L2 distance of {plural(len(some), 'sample')} to the nearest training example; for "
        "the row of data, of test examples; far below it: the generator repeats training examples",
        better=None,
    )  # fmt: skip


_COVERED = 0.1
"""Share of a class relative to its share of the data from which on it counts as covered."""


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Share of each of ``classes`` among labels [n], float64 [classes]."""
    return torch.bincount(labels, minlength=classes).double() / max(1, len(labels))


def imbalance(shares: Tensor, reference: Tensor) -> float:
    """Total variation distance of two rows of shares: 0 for equal ones, 1 for disjoint ones."""
    return float((shares - reference).abs().sum()) / 2


def covered(shares: Tensor, reference: Tensor) -> int:
    """Classes of the data that have at least a tenth of the share that they have there.

    Example:
        >>> covered(torch.tensor([0.96, 0.04, 0.0]), torch.tensor([0.5, 0.25, 0.25]))
        2
    """
    return int(((shares >= _COVERED * reference) & (reference > 0)).sum())
