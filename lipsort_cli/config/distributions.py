"""The typed configuration of the pairs of distributions: the group ``distribution``."""

from __future__ import annotations

from collections.abc import Iterator

from lipsort_cli.config.data import DownloadedData, FolderData, TableOptions
from lipsort_cli.config.options import MOST_DIMENSIONS, MOST_POINTS, REQUIRED, like, node, option
from lipsort_cli.config.registry import Option, choice

# --- pairs with a known distance --------------------------------------------------------------


@node
class InDimensions(Option):
    """A pair in any dimension."""

    dim: int = option(2, "dimension", minimum=1, maximum=MOST_DIMENSIONS)


@choice("distribution", "absolute_value")
class AbsoluteValueDistribution(Option):
    """The paper's absolute value: a point mass at 0 against masses at -1 and 1. W1 = 1.

    Potential -|x|.
    """

    radius: float = option(1.0, "where the two masses lie", above=0)


@choice("distribution", "three_cones")
class ThreeConesDistribution(InDimensions):
    """The paper's three cones: point masses against the circles around them. W1 = radius."""

    count: int = option(3, "cones", minimum=1, maximum=2**16)
    spacing: float = option(2.0, "between neighbouring centres; at least 2 * radius", above=0)
    radius: float = option(1.0, "of the spheres", above=0)


@choice("distribution", "cone")
class ConeDistribution(InDimensions):
    """The paper's high-dimensional cone: a point mass against the sphere around it. W1 = radius.

    Potential -||x||.
    """

    dim: int = like(InDimensions, "dim", 128)
    radius: float = option(1.0, "of the sphere", above=0)


@node
class SpheresDistribution(InDimensions):
    """Uniform measures on concentric spheres, of radii p and q: W1 = that of the radii."""

    p: list[float] = option([1.0, 4.0], "radii of P", minimum=0, filled=True)
    q: list[float] = option([2.0, 3.0], "radii of Q", minimum=0, filled=True)


@choice("distribution", "shells")
class ShellsDistribution(SpheresDistribution):
    """Spheres of two radii about the same centre, in any dimension. W1 = the difference."""

    dim: int = like(InDimensions, "dim", 16)
    p: list[float] = like(SpheresDistribution, "p", [0.5])
    q: list[float] = like(SpheresDistribution, "q", [1.5])


@choice("distribution", "rings")
class RingsDistribution(SpheresDistribution):
    """Concentric circles, two of P around two of Q: a potential that turns twice. W1 = 1."""


@node
class Translated(InDimensions):
    """A Gaussian and its translate."""

    dim: int = like(InDimensions, "dim", 50)
    shift: float = option(1.0, "Euclidean length of the shift", above=0)
    std: float = option(1.0, "standard deviation of every coordinate", above=0)


@choice("distribution", "translated_gaussians")
class TranslatedGaussiansDistribution(Translated):
    """A Gaussian and its translate, fresh points every step. W1 = the shift."""


@choice("distribution", "translated_cloud")
class TranslatedCloudDistribution(Translated):
    """A fixed cloud of points and its translate, as two finite measures. W1 = the shift."""

    points: int = option(1000, "points of the cloud", minimum=2, maximum=MOST_POINTS)


@choice("distribution", "scaled_gaussians")
class ScaledGaussiansDistribution(InDimensions):
    """Two centred Gaussians of different widths. W1 = |std_q - std_p| E||Z||."""

    dim: int = like(InDimensions, "dim", 10)
    std_p: float = option(1.0, "standard deviation of P", minimum=0)
    std_q: float = option(2.0, "standard deviation of Q", minimum=0)


@choice("distribution", "mixture")
class MixtureDistribution(InDimensions):
    """Gaussian mixtures along one axis, the same noise in all others. W1 = integral |F - G|."""

    p_means: list[float] = option([-2.0, 0.0, 2.0], "means of P", filled=True)
    q_means: list[float] = option([-1.0, 1.0], "means of Q", filled=True)
    p_weights: list[float] = option(
        [1.0, 1.0, 1.0], "weights of P's components", minimum=0, filled=True
    )
    q_weights: list[float] = option([1.0, 1.0], "weights of Q's components", minimum=0, filled=True)
    std: float = option(0.3, "standard deviation of every component along the axis", above=0)


# --- your own samples -------------------------------------------------------------------------


@choice("distribution", "files")
class FilesDistribution(Option, TableOptions):
    """Your own samples: .npy, .npz, .csv, .parquet, or folders of images."""

    p: str = option(REQUIRED, "sample file of P; FILE.npz:NAME names an array", path=True)
    q: str = option(REQUIRED, "sample file of Q", path=True)
    background: str | None = like(
        FolderData,
        "background",
        None,
        "what transparent pixels of images lie on; null: they are refused",
    )
    p_weights: str | None = option(None, "file of weights for P", path=True)
    q_weights: str | None = option(None, "file of weights for Q", path=True)
    rows: int | None = option(
        None, "compare this many rows a side, drawn at random; the others are held out", minimum=2
    )
    support: list[float] | None = option(
        None, "[low, high]: what every coordinate is known to lie in, for a population upper bound"
    )

    def faults(self) -> Iterator[str]:
        if self.support is not None and not (
            len(self.support) == 2 and self.support[0] < self.support[1]
        ):
            yield (
                f"distribution.support: found {self.support}; allowed: [low, high] with low < high"
            )


@choice("distribution", "dataset")
class DatasetDistribution(Option):
    """Two parts of a data set: classes (train/3 against train/8) or splits (train against test)."""

    dataset: str = option(
        "mnist", "which one", choices=["digits", "mnist", "fashion_mnist", "cifar10"]
    )
    root: str = like(DownloadedData, "root", DownloadedData.root)
    download: bool = like(DownloadedData, "download", True)
    p: str = option("train/3", "train, test, or one class of them, such as train/3")
    q: str = option("train/8", "the same")
    rows: int | None = like(FilesDistribution, "rows", None)


@choice("distribution", "generator")
class GeneratorDistribution(Option):
    """A trained generator against its data: fresh samples of a `lipsort wgan` run every step."""

    run: str | None = option(
        None,
        "run directory of `lipsort wgan`; null: the newest finished one under outputs",
        path=True,
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


OF_IMAGES = ("dataset", "generator")
"""Distributions whose points keep the shape of images, for convolutional critics."""
