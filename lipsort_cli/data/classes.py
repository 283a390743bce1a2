"""Classes of a user's own data: names that are written differently, and what the splits have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from unicodedata import category, normalize

import torch

from lipsort_cli.console import warn
from lipsort_cli.data.dataset import Dataset, Split
from lipsort_cli.data.options import few
from lipsort_cli.errors import UsageError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)
"""Labels that are numbers."""
_SKEWED = 0.2
"""Part of the way from equal shares to a single class from which figures need a word."""
_HOW = "the same but for case, blanks, signs that are not shown or the encoding of letters"


def sizes_of(names: Sequence[str]) -> dict[str, Decimal]:
    """Those of the names that are numbers."""
    return {name: Decimal(name) for name in names if _NUMBER.fullmatch(name)}


def warn_of_alike(source: Path, names: Sequence[str]) -> None:
    """Warn of names of classes that may be meant as one."""
    alike: dict[Decimal | str, list[str]] = {}
    for name in names:
        shown = [c for c in normalize("NFKC", name).casefold() if category(c) != "Cf"]
        letters = "".join("".join(shown).split())
        number = letters.replace(",", ".")  # where that is the decimal sign
        alike.setdefault(sizes_of([number]).get(number, letters), []).append(repr(name))
    for key, found in alike.items():
        if len(found) > 1:
            how = "equal numbers" if isinstance(key, Decimal) else _HOW
            warn(f"{source}: the labels {few(found)} are {how}, but as they are written "
                 "differently, different classes; write them alike to make them one")  # fmt: skip


def refuse_unseen(source: str, names: Sequence[str], train: Split, way_out: str) -> None:
    """Raises UsageError where a class has no training example left once others are held out."""
    unseen = [n for j, n in enumerate(names) if not bool((train.labels == j).any())]
    if unseen:
        raise UsageError(f"{source} has no training example of {few(unseen)}; {way_out}")


def warn_of_test(dataset: Dataset) -> None:
    """Warn of what a figure of the test split would hide: classes, and examples of its own.

    That is a class that it lacks, and one that most of it is (0.6 of two, 0.28 of ten classes).
    An example is in both splits where its inputs are the same, whatever its labels.
    """
    test = dataset.test
    counts = torch.bincount(test.labels, minlength=dataset.classes)
    if absent := [dataset.class_name(int(label)) for label in (counts == 0).nonzero()]:
        warn(
            f"{dataset.name}: the test split has no example of {few(absent)}: its figures say "
            "nothing of them"
        )
    label, share = int(counts.argmax()), float(counts.max()) / len(test)
    if share >= _SKEWED + (1 - _SKEWED) / dataset.classes:
        warn(
            f"{dataset.name}: {share:.1%} of the test split is {dataset.class_name(label)}: an "
            "answer that never looks at its input has this accuracy; judge accuracies by it"
        )
    trained = {hash(row.tobytes()) for row in dataset.train.inputs.numpy()}
    shared = sum(hash(row.tobytes()) in trained for row in test.inputs.numpy())
    if shared:
        warn(
            f"{dataset.name}: test examples that are training examples too: {shared:,} of "
            f"{len(test):,}; figures of the test split say less of new data: remove duplicates, "
            "or keep them in one split"
        )
