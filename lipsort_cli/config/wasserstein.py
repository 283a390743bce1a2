"""The typed configuration of `lipsort estimate-wasserstein`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lipsort_cli.config.options import (
    LARGEST_SEED,
    MOST_POINTS,
    MOST_THREADS,
    REQUIRED,
    option,
)

# --- the critic of the samples' own potential ----------------------------------------------------

EXTENSION = "extension"


@dataclass
class ExtensionModel:
    """The McShane-Whitney extension of a potential from samples: exact on them."""

    name: str = EXTENSION
    centres: int = option(
        5000,
        "points of each side that the potential is fitted to; all training rows, where these are "
        "no more; those of P are its centres",
        minimum=1,
        maximum=65536,
    )


# --- the command ------------------------------------------------------------------------------


@dataclass
class CriticTraining:
    """How long and on what the critic is trained."""

    steps: int = option(1000, "steps at most", minimum=1)
    batch_size: int = option(256, "points of each side a step", minimum=1, maximum=MOST_POINTS)
    check_every: int = option(
        100, "steps between looks at the bounds; the last step is always looked at", minimum=1
    )
    check_points: int = option(
        1000, "points a side they are looked at on", minimum=2, maximum=MOST_POINTS
    )
    tolerance: float = option(
        1e-5, "stop when the relative gap to the upper bound is below", minimum=0, below=1
    )
    patience: int = option(
        20, "stop after so many looks that gain less than the tolerance; 0: never", minimum=0
    )
    checkpoint_seconds: float = option(30.0, "longest time between checkpoints", minimum=0)


@dataclass
class WassersteinEvaluation:
    """Which bounds are computed when the critic is trained."""

    points: int = option(
        2000,
        "points a side to bound W1 of (synthetic pairs, generators)",
        minimum=2,
        maximum=MOST_POINTS,
    )
    holdout: float = option(
        0.2, "share of compared rows that the critic never sees (samples)", minimum=0, below=1
    )
    confidence_points: int = option(
        20_000,
        "points a side for the confidence bounds (synthetic pairs, generators; of data at most "
        "the test set)",
        minimum=2,
        maximum=MOST_POINTS,
    )
    bound: str = option(
        "betting",
        "confidence bound that is quoted; all are listed",
        choices=["betting", "bernstein", "hoeffding"],
    )
    transport_points: int = option(
        6500,
        "exact transport up to this many points a side, blocks of 2,000 beyond",
        minimum=2,
        maximum=MOST_POINTS,
    )
    sliced: int = option(
        0, "directions of the sliced distance; 0: none", minimum=0, maximum=MOST_POINTS
    )
    sinkhorn: float | None = option(
        None, "entropic regularisation of a Sinkhorn value, in units of distance", above=0
    )
    certificate: bool = option(True, "write a certificate that `lipsort verify` checks")


@dataclass
class EstimateWassersteinConfig:
    """`lipsort estimate-wasserstein`."""

    distribution: Any = REQUIRED
    model: Any = REQUIRED
    activation: Any = REQUIRED
    constraint: Any = REQUIRED
    optimizer: Any = REQUIRED
    schedule: Any = REQUIRED
    norm: str = option("l2", "ground metric", choices=["l2", "linf", "l1"])
    confidence: float = option(0.95, "of the bounds for the populations", above=0, below=1)
    training: CriticTraining = field(default_factory=CriticTraining)
    evaluation: WassersteinEvaluation = field(default_factory=WassersteinEvaluation)
    seed: int = option(0, "seeds weights and samples", minimum=0, maximum=LARGEST_SEED)
    device: str = option("auto", "auto, cpu, cuda, cuda:N, mps")
    threads: int = option(0, "CPU threads; 0: as torch chooses", minimum=0, maximum=MOST_THREADS)
    resume: str | None = option(None, "continue this interrupted run directory")


def critic_faults(config: Any) -> Iterator[str]:
    """Rules between fields of an :class:`EstimateWassersteinConfig`; passes over other commands."""
    if not isinstance(config, EstimateWassersteinConfig):
        if getattr(getattr(config, "model", None), "name", None) == EXTENSION:
            yield (
                "model: found extension, which is a critic of one output; allowed with "
                "`lipsort estimate-wasserstein`"
            )
        return
    constraint = getattr(config.constraint, "name", None)
    if getattr(config.model, "name", None) == EXTENSION:
        if config.norm != "l2":
            yield (
                f"norm: found {config.norm} with model=extension, whose distances are L2; allowed: "
                "l2, or another model with constraint=linf"
            )
    elif constraint == "none":
        yield (
            "constraint: found none; a critic's objective is unbounded without a constraint: "
            "allowed are orthonormal, bjorck, spectral, parseval, aol, linf"
        )
    elif (constraint == "linf") != (config.norm != "l2"):
        matching = (
            "orthonormal, bjorck, spectral, parseval or aol" if config.norm == "l2" else "linf"
        )
        yield (
            f"constraint: found {constraint} with norm={config.norm}; a critic that is "
            f"1-Lipschitz in this norm needs constraint={matching} (linf bounds rows for "
            "norm=linf and columns for norm=l1)"
        )
    support = getattr(config.distribution, "support", None)
    if support is not None and not (len(support) == 2 and support[0] < support[1]):
        yield f"distribution.support: found {support}; allowed: [low, high] with low < high"
