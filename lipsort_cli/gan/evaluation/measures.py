"""Every measure of a sample against data, each with its evidence and which way is better."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipsort_cli.gan.evaluation.classes import class_shares, covered, imbalance
from lipsort_cli.gan.evaluation.features import Features
from lipsort_cli.gan.evaluation.kernel import Estimate, kernel_distance
from lipsort_cli.gan.evaluation.manifolds import nearest, precision_recall
from lipsort_cli.wasserstein.sliced import projected_distances

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
        return {
            **rows,
            "evidence": self.evidence,
            "better": self.better,
            "title": self.title,
            "method": self.method,
        }


Measures = dict[str, Measure]


def point_value(value: float) -> Estimate:
    """A value whose standard error is not estimated."""
    return Estimate(float(value), 0.0)


def add_sliced(
    measures: Measures, row: str, sample: Tensor, reference: Tensor, lines: int, seed: int
) -> None:
    """Mean W1 over random projections, in units of the samples."""
    x, y = sample.flatten(1).numpy(), reference.flatten(1).numpy()
    # Both rows are projected on the same lines.
    values = projected_distances(x, y, lines, np.random.default_rng([seed, 0]))
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    measures.setdefault(
        "sliced_w1",
        Measure(
            "sliced W1",
            "empirical",
            "lower",
            f"mean W1 of projections on {lines} random lines, in raw units; +- its standard error "
            "over lines",
        ),
    ).values[row] = Estimate(float(values.mean()), error)


def add_features(
    measures: Measures, row: str, sample: Tensor, reference: Tensor, about: str, neighbours: int
) -> None:
    """Kernel distance, precision and recall on features [n, d] and [m, d]."""
    k = min(neighbours, min(len(sample), len(reference)) - 1)
    measures.setdefault(
        "kernel_distance",
        Measure(
            "kernel distance",
            "empirical",
            "lower",
            "unbiased squared MMD, kernel (u.v / d + 1)^3 (as KID); +- its jackknife standard "
            f"error; on {about}",
        ),
    ).values[row] = kernel_distance(sample, reference)
    manifolds = precision_recall(sample, reference, k)
    for key, value, words in (
        ("precision", manifolds.precision, "samples that lie in the data's manifold"),
        ("recall", manifolds.recall, "data that lie in the samples' manifold"),
    ):
        method = f"share of {words}, {k} nearest neighbours; on {about}"
        measures.setdefault(key, Measure(key, "empirical", "higher", method)).values[row] = (
            point_value(value)
        )


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
    measures.setdefault(
        "classes_covered",
        Measure(
            f"classes covered, of {int((expected > 0).sum())}",
            "empirical",
            "higher",
            "predicted classes with at least a tenth of their share in the data",
        ),
    ).values[row] = point_value(covered(shares, expected))
    measures.setdefault(
        "class_imbalance",
        Measure(
            "class imbalance",
            "empirical",
            "lower",
            "total variation distance of the predicted classes' shares from the data's",
        ),
    ).values[row] = point_value(imbalance(shares, expected))
    return shares, expected


def add_nearest(
    measures: Measures, row: str, sample: Tensor, train: Tensor, device: torch.device
) -> None:
    """How far samples are from the training data: nearer than fresh data are means copied."""
    some = sample[:_COPIES].flatten(1).to(device)
    distances = nearest(some, train.flatten(1).to(device)).distances[:, 0]
    measures.setdefault(
        "nearest_training",
        Measure(
            "nearest training example",
            "empirical",
            None,
            f"median L2 distance of {len(some)} samples to their nearest training example; for the "
            "row of data, of test examples; far below it: the generator repeats training examples",
        ),
    ).values[row] = point_value(float(distances.median()))
