"""A user's own table: one row an example, one column its label, the others its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.config.data import TableData
from lipsort_cli.console import say, warn
from lipsort_cli.data.arrow import GAPS, Numbers
from lipsort_cli.data.classes import refuse_unseen, sizes_of, warn_of_alike
from lipsort_cli.data.dataset import Dataset, Split, held_out, make_dataset, part
from lipsort_cli.data.folder import SPLITS, split_of
from lipsort_cli.data.letters import as_written
from lipsort_cli.data.options import Options, few, packed_words
from lipsort_cli.data.precision import blurred
from lipsort_cli.data.tables import TABLES, Table, open_table
from lipsort_cli.errors import UsageError
from lipsort_cli.files import resolved
from lipsort_cli.quoting import setting

MOST_CLASSES = 1000
"""Beyond that, labels are rather identifiers or quantities than classes."""
APART = 100.0
"""Standard deviations whose ratio is larger get a warning: one radius cannot suit both columns."""

FARTHEST = 2.0**60
"""What a certificate's graph takes as the mean of a column; as its deviation, the inverse too."""


def load_table(config: TableData) -> Dataset:
    """Rows of a CSV or Parquet file as inputs float32 [N, d], and the classes of a column by name.

    ``config.columns`` are the inputs, or all columns but ``config.label`` and ``config.split``.
    Where ``split`` names a column, it says train, validation (val, valid) or test; otherwise
    shares are held out by fixed shuffles. Classes are numbered in the order of their names.

    Raises:
        UsageError: a column is missing or not numeric, a row has gaps, float32 would lose the
            differences of a column, a class has no training example.
    """
    path = resolved(config.path)
    if path.suffix.lower() not in TABLES or not path.is_file():
        lacking = "" if path.exists() else "no such file; "
        raise UsageError(
            f"data.path: found {config.path}; {lacking}needed is a file, one of "
            f"{', '.join(TABLES)}{packed_words(path)}"
        )
    table = open_table(path, Options.of(config, "data", (config.label, config.split)))
    for note in table.notes:
        say(note)
    inputs = _inputs(table, config)
    values, labels, splits, kept = _read(table, config, inputs)
    if not kept.all():
        say(f"{path}: {int((~kept).sum()):,} of {len(kept):,} rows have gaps and are left out")
    values = values[kept]
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    _refuse_loss(path, values, rounded, inputs)
    chosen = [labels[row] for row in np.flatnonzero(kept)]
    names, numbers = _classes(path, chosen, config.label)
    everything = Split(torch.from_numpy(rounded), torch.from_numpy(numbers))
    if splits is None:
        train, test = held_out(everything, config.test, f"data.path={path}")
        validation: Split | float = config.validation
    else:
        train, validation, test = _by_column(everything, splits[kept], config)
    refuse_unseen(
        f"data.label: {path}",
        names,
        train,
        "leave these rows out, or let data.split name a column that says train for some",
    )
    dataset = make_dataset(
        path.stem,
        train,
        test,
        validation=validation,
        bounds=None,
        pixels=False,
        classes=len(names),
        names=names,
        features=tuple(inputs),
    )
    return replace(dataset, scale=_scale(dataset) if config.standardise else None)


def _inputs(table: Table, config: TableData) -> list[str]:
    """Names of the columns that are inputs."""
    given = [name for name in (config.label, config.split) if name is not None]
    special = as_written(given, table.names)
    for key, name in (("label", config.label), ("split", config.split)):
        if name is not None:
            table.positions([name], f"data.{key}")
    chosen = config.columns
    if chosen is None:
        chosen = [name for name in table.names if name not in special]
    chosen = as_written(chosen, table.names)
    for name in special:
        if name in chosen:
            raise UsageError(f"data.columns: found {name!r}, which is the label or the split")
    if not chosen:
        raise UsageError(f"data.path: {table.path} has no columns but {few(special)}")
    return chosen


def _read(
    table: Table, config: TableData, inputs: list[str]
) -> tuple[NDArray[np.float64], list[str], NDArray[np.str_] | None, NDArray[np.bool_]]:
    """Inputs [N, d], labels, splits, and which rows have no gap."""
    texts = [config.label] if config.split is None else [config.label, config.split]
    read = list(
        table.read(
            table.positions(inputs, "data.columns"), table.positions(texts, "data"), config.gaps,
            "data",
        )
    )  # fmt: skip
    if not read:
        raise UsageError(f"data.path: {table.path} holds no rows")
    batches = [batch for batch, _ in read]
    labels, *splits = ([w for _, words in read for w in words[j]] for j in range(len(texts)))
    values = np.concatenate([batch.hi for batch in batches])
    rest = np.concatenate([batch.gap.any(1) for batch in batches])
    for batch in batches:
        refuse_integers(table.path, batch, inputs)
    empty = np.array([label == "" for label in labels])
    if empty.any() and config.gaps == "refuse":
        raise UsageError(
            f"{table.path}, {table.line(int(np.flatnonzero(empty)[0]))}, column {config.label!r}: "
            "found no label; data.gaps=drop leaves out such rows"
        )
    return values, labels, np.array(splits[0]) if splits else None, ~(rest | empty)


def refuse_integers(path: Path, batch: Numbers, inputs: Sequence[str], group: str = "data") -> None:
    """Refuse integers that binary64 would round."""
    exact = np.zeros(0) if batch.lo is None else batch.lo.any(0) & ~batch.decimal
    if exact.any():
        column = inputs[int(np.flatnonzero(exact)[0])]
        raise UsageError(
            f"{path}: column {column!r} holds integers that binary64 would round; take a "
            f"common number off, or leave it out with {setting(group, 'columns', '[...]')}"
        )


def _classes(
    path: Path, labels: list[str], column: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the classes, in order (numbers by size), and the class of each row."""
    names = sorted(set(labels))
    sizes = sizes_of(names)
    if len(sizes) == len(names):
        names.sort(key=sizes.__getitem__)
    if len(names) > min(MOST_CLASSES, max(20, len(labels) // 2)):
        raise UsageError(
            f"data.label: column {column!r} of {path} has {len(names):,} different values in "
            f"{len(labels):,} rows: a quantity or an identifier, no class"
        )
    for gap in [name for name in names if name.lower() in GAPS]:
        warn(f"{path}: {labels.count(gap)} rows have the label {gap!r}, which is taken for the "
             "name of a class; remove them if it says that the label is missing")  # fmt: skip
    warn_of_alike(path, names)
    if len(names) < 2:
        raise UsageError(
            f"data.label: column {column!r} of {path} holds {few(names) or 'nothing'}; a "
            "classifier needs at least 2 classes"
        )
    place = {name: j for j, name in enumerate(names)}
    return tuple(names), np.array([place[label] for label in labels], np.int64)


def _by_column(
    everything: Split, splits: NDArray[np.str_], config: TableData
) -> tuple[Split, Split | float, Split]:
    """The splits that a column says; without validation rows, a share of the training ones."""
    roles = np.array([split_of(word) or "" for word in splits.tolist()])
    if (roles == "").any():
        raise UsageError(
            f"data.split: column {config.split!r} holds {str(splits[roles == ''][0])!r}; allowed: "
            f"{', '.join(SPLITS)}"
        )
    found = {
        role: part(everything, torch.from_numpy(np.flatnonzero(roles == role)))
        for role in ("train", "validation", "test")
    }
    for role in ("train", "test"):
        if not len(found[role]):
            raise UsageError(f"data.split: column {config.split!r} names no {role} row")
    validation = found["validation"] if len(found["validation"]) else config.validation
    return found["train"], validation, found["test"]


def _refuse_loss(
    path: Path, values: NDArray[np.float64], rounded: NDArray[np.float32], inputs: list[str]
) -> None:
    """Refuse what float32, which networks compute in, cannot hold or tell apart."""
    refuse_infinite(path, values, rounded, inputs)
    if not len(values):
        raise UsageError(f"data.path: {path} holds no row without gaps")
    if found := blurred(values, rounded):
        raise UsageError(
            f"{path}: column {inputs[found[0]]!r} {found[1]}, or leave it out with "
            "data.columns=[...]"
        )


def refuse_infinite(
    path: Path, values: NDArray[np.float64], rounded: NDArray[np.float32], inputs: Sequence[str]
) -> None:
    """Refuse numbers beyond float32's range."""
    bad = np.argwhere(~np.isfinite(rounded))
    if len(bad):
        row, column = bad[0]
        raise UsageError(
            f"{path}: column {inputs[column]!r} holds {values[row, column]}; allowed: finite "
            "numbers within float32's range"
        )


def _scale(dataset: Dataset) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each input over the training rows alone."""
    inputs = dataset.train.inputs.double()
    mean, std = inputs.mean(0), inputs.std(0, correction=0)
    flat = [name for name, s in zip(dataset.features, std.tolist(), strict=True) if s == 0]
    if flat:
        say(f"{dataset.name}: constant in the training rows, and not scaled: {few(flat)}")
    std[std == 0] = 1.0
    for name, m, s in zip(dataset.features, mean.tolist(), std.tolist(), strict=True):
        if abs(m) > FARTHEST or not 1 / FARTHEST <= s <= FARTHEST:
            raise UsageError(
                f"{dataset.name}: column {name!r} has the mean {m:g} and the standard deviation "
                f"{s:g}; columns are standardised from {1 / FARTHEST:g} to {FARTHEST:g}: write it "
                "in another unit, or take data.standardise=false"
            )
    return mean.tolist(), std.tolist()


def warn_of_scales(dataset: Dataset) -> None:
    """Warn where one radius in raw units cannot suit all inputs, with the way out."""
    std = dataset.train.inputs.double().std(0, correction=0)
    if not dataset.features or not bool((std > 0).any()):
        return
    least, most = (int(i) for i in (torch.where(std > 0, std, torch.inf).argmin(), std.argmax()))
    if float(std[most] / std[least]) <= APART:
        return
    way_out = (
        "read the radii in standard deviations"
        if dataset.scale is not None
        else "data.standardise=true also states radii in standard deviations"
    )
    warn(
        f"{dataset.name}: columns differ much in scale (standard deviation of "
        f"{dataset.features[least]!r} {float(std[least]):.3g}, of {dataset.features[most]!r} "
        f"{float(std[most]):.3g}); one radius in raw units for all of them means little: {way_out}"
    )
