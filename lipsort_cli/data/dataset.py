"""A classification data set in memory: raw inputs, labels, and the three splits."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lipsort_cli.config.data import Subset
from lipsort_cli.config.plugins import made
from lipsort_cli.config.registry import Option, resolve
from lipsort_cli.config.schema import option_of
from lipsort_cli.console import plural
from lipsort_cli.data.pictures import ArrayView
from lipsort_cli.errors import LipsortError, UsageError


@dataclass(frozen=True)
class Split:
    """Inputs [N, *shape] float32 in raw units (pixels in [0, 1]) and labels [N] int64."""

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Raises a UsageError where they are anything else."""
        found = [f"{getattr(one, 'dtype', type(one).__name__)} {list(getattr(one, 'shape', ()))}"
                 for one in (self.inputs, self.labels)]  # fmt: skip
        if not (
            isinstance(self.inputs, Tensor) and isinstance(self.labels, Tensor)
            and (self.inputs.dtype, self.labels.dtype) == (torch.float32, torch.int64)
            and self.labels.shape == self.inputs.shape[:1]
        ):  # fmt: skip
            raise UsageError(
                f"data: found inputs {found[0]} and labels {found[1]}; allowed: tensors, inputs "
                "torch.float32 [N, *shape] and labels torch.int64 [N]"
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test split of one data set.

    ``bounds`` is the range that every raw input lies in, where it is known: attacks stay inside.
    ``pixels`` says that it is known from how inputs are stored, and so of every further one; if
    not, it is only that of the inputs at hand.
    ``names`` are those of the classes, where they have any; ``features`` those of the inputs.
    ``scale`` [d] holds the mean and the standard deviation of each input over the training rows,
    where the network is to take them off and divide by them first. ``view`` is how inputs were
    read: what their levels were divided by, and where their channels were.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    bounds: tuple[float, float] | None
    names: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    scale: tuple[list[float], list[float]] | None = None
    pixels: bool = True
    view: ArrayView = ArrayView()

    @property
    def training_bounds(self) -> tuple[float, float] | None:
        """The same from training inputs alone: no generator may depend on the test split."""
        if self.pixels:
            return self.bounds
        low, high = (float(value) for value in self.train.inputs.aminmax())
        return (0.0, 1.0) if low >= 0 and high <= 1 else None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.inputs.shape[1:])

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Name, sizes, a SHA-256 of all inputs and labels, and how inputs are read: ``run.json``.

        ``inputs`` is what further data are compared with: ``shape``; ``low`` and ``high`` of the
        training inputs; ``pixels``, whether they are in [0, 1] by the way they are stored.
        """
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(split.inputs.numpy().tobytes())
            digest.update(split.labels.numpy().tobytes())
        found: dict[str, Any] = {
            "name": self.name,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "sha256": digest.hexdigest(),
            "inputs": {
                "shape": list(self.input_shape),
                "low": float(self.train.inputs.min()),
                "high": float(self.train.inputs.max()),
                "pixels": self.bounds is not None and self.pixels,
                "full_scale": self.view.full,
                "channels_last": self.view.channels_last,
            },
        }
        if self.names:
            found["classes"] = list(self.names)
        if self.features:
            found["features"] = list(self.features)
        return found

    def class_name(self, label: int) -> str:
        """The name of class ``label``, or its number."""
        return self.names[label] if self.names else str(label)


def held_out(everything: Split, share: float, name: str) -> tuple[Split, Split]:
    """What trains, and ``share`` of the examples (one at least) as the test.

    By a fixed shuffle: the split is part of the data, not of the run. It is not the one that the
    validation part is drawn with.

    Raises:
        UsageError: fewer than two examples; ``name`` says of what.
    """
    count = len(everything)
    held = max(1, round(share * count))
    if count - held < 1:
        raise UsageError(
            f"{name}: found {plural(count, 'example')}, of which the test takes {held}; at least 2 "
            "are needed, one of them for the test"
        )
    return _divided(everything, held, 1)


def _divided(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """What is left of ``split``, and ``count`` of its examples, by a fixed shuffle."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    return part(split, order[count:].sort().values), part(split, order[:count].sort().values)


def part(split: Split, index: Tensor) -> Split:
    """The examples of ``split`` at ``index``."""
    return Split(split.inputs[index].contiguous(), split.labels[index].contiguous())


def make_dataset(
    name: str,
    train: Split,
    test: Split,
    *,
    validation: float | Split,
    bounds: tuple[float, float] | None,
    classes: int | None = None,
    pixels: bool = True,
    names: tuple[str, ...] = (),
    features: tuple[str, ...] = (),
    view: ArrayView = ArrayView(),  # noqa: B008 (frozen)
) -> Dataset:
    """Check the arrays and hold ``validation`` of the training set out, by a fixed shuffle.

    A split given as ``validation`` is taken as it is. The shuffled one depends on the number of
    examples only, so that runs with different seeds are validated on the same examples. Nothing is
    ever selected on the test set.

    Raises:
        UsageError: the arrays are unfit, or ``validation`` leaves nothing to train on.
    """
    labels = torch.cat([train.labels, test.labels])
    count = classes or int(labels.max() if len(labels) else -1) + 1
    for split in (train, test, *([validation] if isinstance(validation, Split) else [])):
        for fault in _faults(split, train.inputs.shape[1:], bounds, count):
            raise UsageError(f"{name}: found {fault}")
    if names and len(names) < count:
        raise UsageError(
            f"{name}: found {plural(len(names), 'name')}; allowed: {count}, one a class"
        )
    # One class is enough for a generator; whoever says so (``classes=1``) knows it.
    if count < 2 and classes is None:
        raise LipsortError(f"{name}: found {count} class; a classifier needs at least 2")
    if not isinstance(validation, Split):
        chosen = round(validation * len(train))
        if chosen >= len(train):
            raise UsageError(
                f"data.validation: found {validation}, which leaves none of {len(train)} training "
                "examples; take less"
            )
        train, validation = _divided(train, chosen, 0)
    splits = train, validation, test
    return Dataset(name, *splits, count, bounds, names, features, pixels=pixels, view=view)


def _faults(
    split: Split, shape: torch.Size, bounds: tuple[float, float] | None, classes: int
) -> Iterator[str]:
    """What is wrong with the arrays of a split; readers name the place, and look for more."""
    if split.inputs.shape[1:] != shape:
        yield (
            f"inputs of shape {list(split.inputs.shape[1:])} beside {list(shape)}; allowed: one "
            "shape in all splits"
        )
    if not split.inputs.numel():
        return
    # The extremes say it in one pass: NaN is both where there is one.
    low, high = torch.stack(split.inputs.aminmax()).tolist()
    if not math.isfinite(low) or not math.isfinite(high):
        yield (
            "inputs that are no finite float32 numbers (NaN, infinite, or above 3e38); allowed: "
            "finite ones"
        )
    if bounds is not None and not bounds[0] <= low <= high <= bounds[1]:
        yield f"inputs from {low:g} to {high:g}; allowed: what lies within bounds={bounds}, or None"
    least, most = (int(value) for value in split.labels.aminmax())
    if least < 0 or most >= classes:
        yield f"labels from {least} to {most}; allowed: 0 to {classes - 1}"


def balanced(dataset: Dataset, count: int, seed: int) -> Dataset:
    """``dataset`` with ``count`` training examples of each class, chosen by ``seed``.

    Validation and test split stay whole. With one seed, the examples of a smaller count are among
    those of a larger one, so that learning curves add examples instead of exchanging them.

    Raises:
        UsageError: a class has fewer.
    """
    labels = dataset.train.labels
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label in range(dataset.classes):
        members = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=generator)
        if len(members) < count:
            raise UsageError(
                f"data.train_per_class: found {count}, but class {dataset.class_name(label)} of "
                f"{dataset.name} has {plural(len(members), 'training example')}; allowed: at most "
                f"{int(torch.bincount(labels, minlength=dataset.classes).min())}"
            )
        chosen.append(members[order[:count]])
    index = torch.cat(chosen).sort().values
    return replace(dataset, train=part(dataset.train, index))


def load(config: Option) -> Dataset:
    """The data set of the configuration group ``data``, or a balanced part of it.

    Raises:
        UsageError: a class has fewer examples than ``data.train_per_class``.
        LipsortError: it is missing, cannot be downloaded, or is damaged; the message says what to
            do.
    """
    kind: Any = option_of("data", config.name)
    dataset: Dataset = made(config, Dataset) or resolve(kind.loader)(config)
    if not isinstance(config, Subset) or config.train_per_class is None:
        return dataset
    return balanced(dataset, config.train_per_class, config.subset_seed)
