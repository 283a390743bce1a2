"""scikit-learn's handwritten digits: 1,797 real 8x8 images that come with the package.

Read from its file: importing scikit-learn takes as long as training on them. The split is the one
that its ``train_test_split(..., test_size=360, random_state=0, stratify=labels)`` makes.
"""

from __future__ import annotations

import functools
import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.config.data import DigitsData
from lipsort_cli.data.dataset import Dataset, Split, make_dataset
from lipsort_cli.data.pictures import ArrayView
from lipsort_cli.errors import LipsortError

_TEST = 360


def load_digits(config: DigitsData) -> Dataset:
    """1,437 training and 360 test images [1, 8, 8], pixels k/16 in [0, 1], stratified by class."""
    images, labels = _embedded()
    inputs = torch.from_numpy(images).to(torch.float32).div(16).reshape(-1, 1, 8, 8)
    targets = torch.from_numpy(labels).to(torch.int64)
    train, test = _stratified(labels, _TEST)
    return make_dataset(
        "digits",
        Split(inputs[train], targets[train]),
        Split(inputs[test].contiguous(), targets[test].contiguous()),
        validation=config.validation,
        bounds=(0.0, 1.0),
        classes=10,
        view=ArrayView(16),
    )


@functools.cache
def _embedded() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Pixels [1797, 64], 0 to 16, and labels [1797]."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise LipsortError("data=digits: scikit-learn, which holds them, is not installed")
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",")
    except OSError as error:
        raise LipsortError(f"data=digits: {path}: {error.strerror or error}") from error
    return table[:, :-1], table[:, -1].astype(np.int64)


def _stratified(labels: NDArray[np.int64], test: int) -> tuple[list[int], list[int]]:
    """Positions of the training and of ``test`` test examples, in shuffled order."""
    rng = np.random.RandomState(0)
    counts = np.bincount(labels)
    kept = _shared(counts, len(labels) - test, rng)
    left = _shared(counts - kept, test, rng)
    parts: tuple[list[int], list[int]] = ([], [])
    for label, count in enumerate(counts):
        members = np.flatnonzero(labels == label)[rng.permutation(count)]
        parts[0].extend(members[: kept[label]])
        parts[1].extend(members[kept[label] : kept[label] + left[label]])
    return rng.permutation(parts[0]).tolist(), rng.permutation(parts[1]).tolist()


def _shared(counts: NDArray[np.int64], draws: int, rng: np.random.RandomState) -> NDArray[np.int64]:
    """``draws`` shared out in proportion to ``counts``; the largest remainders get one more."""
    exact = counts / counts.sum() * draws
    shares = np.floor(exact)
    rest = exact - shares
    for value in np.unique(rest)[::-1]:
        missing = int(draws - shares.sum())
        if not missing:
            break
        tied = np.flatnonzero(rest == value)
        shares[rng.choice(tied, size=min(len(tied), missing), replace=False)] += 1
    return shares.astype(np.int64)
