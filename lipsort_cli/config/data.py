"""The typed configuration of the data sets: the group ``data``."""

from __future__ import annotations

from typing import ClassVar

from lipsort_cli.config.options import LARGEST_SEED, MOST_POINTS, REQUIRED, like, node, option
from lipsort_cli.config.registry import Option, choice

PATTERNS = ("eight_gaussians", "grid_gaussians", "swiss_roll", "checkerboard", "rings", "moons")
"""Two-dimensional toy sets."""


@node
class Subset(Option):
    """How much of the training set is used: what every image data set shares."""

    train_per_class: int | None = option(
        None, "training examples kept of each class; null: all", minimum=1
    )
    subset_seed: int = option(0, "which ones: seeds their choice", minimum=0, maximum=LARGEST_SEED)


@choice("data", "digits")
class DigitsData(Subset):
    """scikit-learn's 1,797 real 8x8 digits, embedded: nothing to download."""

    loader: ClassVar[str] = "data.digits:load_digits"
    validation: float = option(0.1, "share of the training set held out", minimum=0, below=1)


@node
class DownloadedData(Subset):
    """A torchvision data set under ``root``, downloaded when absent."""

    loader: ClassVar[str] = "data.downloaded:load_downloaded"
    root: str = option("${oc.env:LIPSORT_DATA,data}", "folder that holds the data set", path=True)
    download: bool = option(True, "fetch the files with torchvision when absent")
    validation: float = option(0.05, "share of the training set held out", minimum=0, below=1)


@choice("data", "mnist")
class MnistData(DownloadedData):
    """MNIST: 70,000 handwritten digits, 28x28."""


@choice("data", "fashion_mnist")
class FashionMnistData(DownloadedData):
    """Fashion-MNIST: 70,000 pieces of clothing, 28x28."""


@choice("data", "cifar10")
class Cifar10Data(DownloadedData):
    """CIFAR-10: 60,000 colour photographs, 32x32 (python or binary distribution)."""


TORCHVISION = (
    *("CIFAR10", "CIFAR100", "DTD", "EMNIST", "EuroSAT", "FGVCAircraft", "FashionMNIST"),
    *("Flowers102", "Food101", "GTSRB", "Imagenette", "KMNIST", "MNIST", "OxfordIIITPet"),
    *("QMNIST", "STL10", "SVHN", "USPS"),
)
"""Data sets of torchvision that are classes of pictures."""


@choice("data", "torchvision")
class TorchvisionData(DownloadedData):
    """A data set of torchvision by its name there (data.name=KMNIST|EMNIST|SVHN|CIFAR100|...)."""

    name: str = option("torchvision", "which data set", choices=TORCHVISION)
    split: str = option(
        "balanced",
        "which part of EMNIST",
        choices=["balanced", "byclass", "bymerge", "digits", "letters", "mnist"],
    )
    size: int | None = option(
        None,
        "cut and scale every picture to this square; null: all have one size",
        minimum=2,
        maximum=4096,
    )
    test: float = option(
        0.2, "share held out as the test set, where the data set has none", above=0, below=1
    )


@node
class TableOptions:
    """How CSV and Parquet files are read."""

    columns: list[str] | None = option(
        None,
        "columns taken, by name (by number, from 1, where they have none); null: all",
        filled=True,
    )
    gaps: str = option("refuse", "rows with missing numbers", choices=["refuse", "drop"])
    header: str = option(
        "auto", "what the first line of a text table holds", choices=["auto", "names", "values"]
    )
    decimal: str = option(
        "auto", "the decimal sign of a text table", choices=["auto", "point", "comma"]
    )


@choice("data", "table")
class TableData(Subset, TableOptions):
    """Your own table, CSV or Parquet (data.path=FILE data.label=COLUMN)."""

    loader: ClassVar[str] = "data.tabular:load_table"
    path: str = option(REQUIRED, "the file: .csv, .tsv, .txt or .parquet", path=True)
    label: str = option(REQUIRED, "the column that holds the class, as a number or a word")
    split: str | None = option(
        None, "the column that says train, validation or test; null: by shares"
    )
    standardise: bool = option(
        True, "first layer takes off the mean and divides by the standard deviation of each column"
    )
    test: float = option(
        0.2, "share held out as the test set, where no column says", above=0, below=1
    )
    validation: float = like(DigitsData, "validation", 0.1)


@choice("data", "npz")
class NpzData(Subset):
    """Your own arrays x_train, y_train, x_test, y_test in one .npz file (data.path=FILE)."""

    loader: ClassVar[str] = "data.npz:load_npz"
    path: str = option(REQUIRED, "the .npz file", path=True)
    channels: str = option(
        "auto",
        "where images have their channels; auto: last, if only there are four at most",
        choices=["auto", "first", "last"],
    )
    validation: float = option(0.1, "share of the training set held out", minimum=0, below=1)


@choice("data", "toy")
class ToyData(Option):
    """Two-dimensional toy sets: eight_gaussians, swiss_roll, rings, ... (data.pattern=NAME).

    Drawn with a fixed seed; a class is a mode, ring, arm or square.
    """

    loader: ClassVar[str] = "data.toy:load_toy"
    pattern: str = option("eight_gaussians", "which set", choices=PATTERNS)
    points: int = option(20_000, "training points", minimum=20, maximum=MOST_POINTS)
    noise: float = option(0.05, "standard deviation around the pattern", minimum=0)
    validation: float = option(0.1, "share of the training set held out", minimum=0, below=1)


@choice("data", "folder")
class FolderData(Option):
    """A folder of your own images, flat or with one subfolder a class (data.path=FOLDER).

    Or of train/ and test/.
    """

    loader: ClassVar[str] = "data.folder:load_folder"
    path: str = option(REQUIRED, "the folder of images", path=True)
    size: int | None = like(TorchvisionData, "size", None)
    colour: str = option(
        "auto", "channels; auto: rgb if one image has colours", choices=["auto", "grey", "rgb"]
    )
    background: str | None = option(
        None, "what transparent pixels lie on; null: they are refused", choices=["black", "white"]
    )
    test: float = option(
        0.1, "share held out as the test set, where there is no test/", above=0, below=1
    )
    validation: float = option(0.1, "share of the training set held out", minimum=0, below=1)
