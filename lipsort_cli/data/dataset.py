"""A classification data set in memory: raw inputs, labels, and the three splits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lipsort_cli.errors import LipsortError, UsageError


@dataclass(frozen=True)
class Split:
    """Inputs [N, *shape] float32 in raw units (pixels in [0, 1]) and labels [N] int64."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test split of one data set.

    ``bounds`` is the range that every raw input lies in, where it is known: attacks stay inside.
    ``pixels`` says that it is known from how inputs are stored, and so of every further one; if
    not, it is only that of the inputs at hand.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    bounds: tuple[float, float] | None
    pixels: bool = True

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
        return tuple(self.test.inputs.shape[1:])

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Name, sizes and a SHA-256 of all inputs and labels, for ``run.json``."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(split.inputs.numpy().tobytes())
            digest.update(split.labels.numpy().tobytes())
        return {
            "name": self.name,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "sha256": digest.hexdigest(),
        }


def pixels(values: Tensor) -> Tensor:
    """uint8 pixels to float32 in [0, 1], each the float32 nearest to k / 255."""
    return values.to(torch.float32) / 255


def make_dataset(
    name: str,
    train: Split,
    test: Split,
    *,
    validation: float,
    bounds: tuple[float, float] | None,
    classes: int | None = None,
    pixels: bool = True,
) -> Dataset:
    """Check the arrays and hold ``validation`` of the training set out, by a fixed shuffle.

    The split depends on the number of examples only, so that runs with different seeds are
    validated on the same examples. Nothing is ever selected on the test set.
    """
    count = classes or int(max(train.labels.max(), test.labels.max())) + 1
    # One class is enough for a generator; whoever says so (``classes=1``) knows it.
    if count < 2 and classes is None:
        raise LipsortError(f"{name}: found {count} class; a classifier needs at least 2")
    held_out = round(validation * len(train))
    if held_out >= len(train):
        raise UsageError(
            f"data.validation: found {validation}, which leaves none of {len(train)} training "
            "examples; take less"
        )
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    kept = order[held_out:].sort().values
    chosen = order[:held_out].sort().values

    def part(index: Tensor) -> Split:
        return Split(train.inputs[index].contiguous(), train.labels[index].contiguous())

    return Dataset(name, part(kept), part(chosen), test, count, bounds, pixels)


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
                f"data.train_per_class: found {count}, but class {label} of {dataset.name} has "
                f"{len(members)} training examples; allowed: at most "
                f"{int(torch.bincount(labels, minlength=dataset.classes).min())}"
            )
        chosen.append(members[order[:count]])
    index = torch.cat(chosen).sort().values
    part = Split(dataset.train.inputs[index].contiguous(), labels[index].contiguous())
    return replace(dataset, train=part)
