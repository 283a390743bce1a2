"""The typed configuration of `lipsort estimate-wasserstein` and of its pairs of distributions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lipsort_cli.config.options import (
    LARGEST_SEED,
    MOST_DIMENSIONS,
    MOST_POINTS,
    MOST_THREADS,
    REQUIRED,
    option,
)

# --- pairs with a known distance --------------------------------------------------------------


@dataclass
class AbsoluteValueDistribution:
    """A point mass at 0 against masses at -1 and 1: W1 = 1, potential -|x|."""

    name: str = "absolute_value"
    radius: float = option(1.0, "where the two masses lie", above=0)


@dataclass
class ThreeConesDistribution:
    """Point masses on a line against the spheres around them: W1 = radius."""

    name: str = "three_cones"
    dim: int = option(2, "dimension", minimum=1, maximum=MOST_DIMENSIONS)
    count: int = option(3, "cones", minimum=1, maximum=2**16)
    spacing: float = option(2.0, "between neighbouring centres; at least 2 * radius", above=0)
    radius: float = option(1.0, "of the spheres", above=0)


@dataclass
class ConeDistribution:
    """A point mass against the sphere around it: W1 = radius, potential -||x||."""

    name: str = "cone"
    dim: int = option(128, "dimension", minimum=1, maximum=MOST_DIMENSIONS)
    radius: float = option(1.0, "of the sphere", above=0)


@dataclass
class SpheresDistribution:
    """Uniform measures on concentric spheres, of radii p and q: W1 = that of the radii."""

    name: str = REQUIRED
    dim: int = option(2, "dimension", minimum=1, maximum=MOST_DIMENSIONS)
    p: list[float] = option([1.0, 4.0], "radii of P", minimum=0)
    q: list[float] = option([2.0, 3.0], "radii of Q", minimum=0)


@dataclass
class TranslatedGaussiansDistribution:
    """A Gaussian and its translate: W1 = the length of the shift."""

    name: str = "translated_gaussians"
    dim: int = option(50, "dimension", minimum=1, maximum=MOST_DIMENSIONS)
    shift: float = option(1.0, "Euclidean length of the shift", above=0)
    std: float = option(1.0, "standard deviation of every coordinate", above=0)


@dataclass
class TranslatedCloudDistribution:
    """A fixed cloud of points and its translate, as two finite measures: W1 = the shift."""

    name: str = "translated_cloud"
    dim: int = option(50, "dimension", minimum=1, maximum=MOST_DIMENSIONS)
    shift: float = option(1.0, "Euclidean length of the shift", above=0)
    std: float = option(1.0, "standard deviation of every coordinate", above=0)
    points: int = option(1000, "points of the cloud", minimum=2, maximum=MOST_POINTS)


@dataclass
class ScaledGaussiansDistribution:
    """Two centred Gaussians of different widths: W1 = |std_q - std_p| E||Z||."""

    name: str = "scaled_gaussians"
    dim: int = option(10, "dimension", minimum=1, maximum=MOST_DIMENSIONS)
    std_p: float = option(1.0, "standard deviation of P", minimum=0)
    std_q: float = option(2.0, "standard deviation of Q", minimum=0)


@dataclass
class MixtureDistribution:
    """Gaussian mixtures along one axis, standard normal in the others: W1 = integral |F - G|."""

    name: str = "mixture"
    dim: int = option(2, "dimension", minimum=1, maximum=MOST_DIMENSIONS)
    p_means: list[float] = option([-2.0, 0.0, 2.0], "means of P")
    q_means: list[float] = option([-1.0, 1.0], "means of Q")
    p_weights: list[float] = option([1.0, 1.0, 1.0], "weights of P's components", minimum=0)
    q_weights: list[float] = option([1.0, 1.0], "weights of Q's components", minimum=0)
    std: float = option(0.3, "standard deviation of every component along the axis", above=0)


# --- your own samples -------------------------------------------------------------------------


@dataclass
class FilesDistribution:
    """Two sample files: .npy, .npz, .csv, .parquet, or folders of images."""

    name: str = "files"
    p: str = option(REQUIRED, "sample file of P; FILE.npz:NAME names an array")
    q: str = option(REQUIRED, "sample file of Q")
    p_weights: str | None = option(None, "file of weights for P")
    q_weights: str | None = option(None, "file of weights for Q")
    rows: int | None = option(
        None, "compare this many rows a side, drawn at random; the others are held out", minimum=2
    )
    support: list[float] | None = option(
        None, "[low, high]: what every coordinate is known to lie in, for a population upper bound"
    )


@dataclass
class DatasetDistribution:
    """Two parts of a data set: splits, or classes of one (SPLIT or SPLIT/CLASS)."""

    name: str = "dataset"
    dataset: str = option(
        "mnist", "which one", choices=["digits", "mnist", "fashion_mnist", "cifar10"]
    )
    root: str = option("${oc.env:LIPSORT_DATA,data}", "folder that holds the data set")
    download: bool = option(True, "fetch the files with torchvision when absent")
    p: str = option("train/3", "train, test, or one class of them, such as train/3")
    q: str = option("train/8", "the same")
    rows: int | None = option(
        None, "compare this many rows a side, drawn at random; the others are held out", minimum=2
    )


@dataclass
class GeneratorDistribution:
    """A generator that `lipsort wgan` trained, against its data."""

    name: str = "generator"
    run: str | None = option(
        None, "run directory of `lipsort wgan`; null: the newest finished one under outputs"
    )
    split: str = option(
        "test", "part of the data that the proven bounds are about", choices=["test", "train"]
    )
    pool: int | None = option(
        None,
        "train the critic on so many generated points, drawn once; null: fresh ones every step",
        minimum=2,
        maximum=MOST_POINTS,
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


DISTRIBUTIONS: dict[str, type] = {
    "absolute_value": AbsoluteValueDistribution,
    "three_cones": ThreeConesDistribution,
    "cone": ConeDistribution,
    "shells": SpheresDistribution,
    "rings": SpheresDistribution,
    "translated_gaussians": TranslatedGaussiansDistribution,
    "translated_cloud": TranslatedCloudDistribution,
    "scaled_gaussians": ScaledGaussiansDistribution,
    "mixture": MixtureDistribution,
    "files": FilesDistribution,
    "dataset": DatasetDistribution,
    "generator": GeneratorDistribution,
}
"""The group ``distribution``."""


OF_IMAGES = ("dataset", "generator")
"""Distributions whose points keep the shape of images, for convolutional critics."""


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
