"""From runs to the rows of a table: differing keys, runs over seeds, mean and spread."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from lipsort_cli.reports.found import Run
from lipsort_cli.reports.values import Column

EXECUTION = (
    *("resume", "objective", "tracker", "device", "threads", "*.root", "*.download"),
    *("training.checkpoint_seconds", "training.log_every", "training.diagnostics_*"),
)
"""Keys that say how a run is carried out or looked at, and not what is trained."""

_ABSENT = object()


@dataclass(frozen=True)
class Spread:
    """Mean over runs, with the extremes; ``deviation`` is the sample's standard deviation."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean, correctly rounded, and never outside their range."""
        mean = math.fsum(self.values) / len(self.values)
        return min(max(mean, min(self.values)), max(self.values))

    @property
    def deviation(self) -> float:
        """sqrt(sum (v - mean)^2 / (n - 1)); 0 for a single value."""
        n = len(self.values)
        if n < 2:
            return 0.0
        return math.sqrt(math.fsum((value - self.mean) ** 2 for value in self.values) / (n - 1))

    @property
    def half_range(self) -> float:
        """Half the difference of the extremes."""
        return (max(self.values) - min(self.values)) / 2


@dataclass
class Row:
    """Runs that are averaged: ``settings`` are the keys in which rows differ, by short name."""

    settings: dict[str, str]
    runs: list[Run]
    figures: dict[Column, Spread] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The settings in a few words."""
        return ", ".join(_named(k, v) for k, v in self.settings.items() if v) or "all runs"

    @property
    def label(self) -> str:
        """The name, with how many runs it stands for."""
        count = len(self.runs)
        return self.name if count == 1 else f"{self.name} (mean of {count})"


@dataclass
class Comparison:
    """Rows of one command's runs, and what there is to say about how they came about."""

    command: str
    rows: list[Row]
    columns: list[Column]
    repeated: list[Run] = field(default_factory=list)
    """Runs that another, newer one repeats: same configuration, same seed."""
    pooled: list[str] = field(default_factory=list)
    """Keys in which runs of one row differ."""


def identity(run: Run) -> dict[str, Any]:
    """The configuration of a run as it bears on its figures, with the data's fingerprint."""
    kept = {
        key: value
        for key, value in run.config.items()
        if not any(fnmatchcase(key, pattern) for pattern in EXECUTION)
    }
    fingerprint = run.record.get("data")
    if isinstance(fingerprint, dict):
        for prefix, node in (("", fingerprint), ("p.", fingerprint.get("p")),
                             ("q.", fingerprint.get("q"))):  # fmt: skip
            if isinstance(node, dict) and isinstance(node.get("sha256"), str):
                kept[f"data.{prefix}sha256"] = node["sha256"][:12]
    return kept


def _named(key: str, value: str) -> str:
    """A value that names itself, as ``relu`` does, or its key's last part before it."""
    if value[0].isalpha() and value not in ("null", "true", "false"):
        return value
    return f"{key.rpartition('.')[2]} {value}"


def _text(value: Any) -> str:
    if value is _ABSENT:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + ",".join(_text(item) for item in value) + "]"
    if isinstance(value, float):
        # Every digit: runs whose texts agree are averaged.
        return repr(value).removesuffix(".0")
    return json.dumps(value)


def compare(
    command: str,
    runs: Sequence[Run],
    *,
    group: Sequence[str] | None = None,
    pool: Sequence[str] = ("seed",),
) -> Comparison:
    """Group ``runs`` of one command, oldest first, into rows.

    ``group``: keys that make a row; None: all but those of ``pool``, keys (or patterns) in which
    the runs of a row may differ.
    """
    identities = [identity(run) for run in runs]
    keys = list(dict.fromkeys(key for one in identities for key in one))
    if group is None:
        chosen = [key for key in keys if not any(fnmatchcase(key, p) for p in pool)]
    else:
        # ``activation`` means ``activation.name``; patterns work too.
        meant = [pattern for wanted in group for pattern in (wanted, f"{wanted}.name")]
        chosen = [key for key in keys if any(fnmatchcase(key, p) for p in meant)]
    rows: dict[tuple[str, ...], list[int]] = {}
    for index, one in enumerate(identities):
        rows.setdefault(_values(one, chosen), []).append(index)
    differing = _differing(chosen, list(rows), keep_all=group is not None)
    # ``activation.name`` is ``activation``, where that is not a key as well.
    names = {column: chosen[column].removesuffix(".name") for column in differing}
    short = {c: chosen[c] if name in chosen else name for c, name in names.items()}
    found: list[Row] = []
    repeated: list[Run] = []
    for values, members in rows.items():
        kept, dropped = _distinct([(runs[i], identities[i]) for i in members])
        repeated += dropped
        settings = {short[c]: values[c] for c in differing}
        found.append(Row(settings, kept, _spreads(kept)))
    columns = list(dict.fromkeys(column for row in found for column in row.figures))
    pooled = [
        key for key in keys
        if any(len({_values(identities[i], [key]) for i in row}) > 1 for row in rows.values())
    ]  # fmt: skip
    return Comparison(command, found, columns, repeated, pooled)


def _values(own: dict[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    """What ``keys`` are in the identity of a run, as text."""
    return tuple(_text(own.get(key, _ABSENT)) for key in keys)


def _differing(
    keys: Sequence[str], rows: Sequence[tuple[str, ...]], keep_all: bool = False
) -> list[int]:
    """Columns in which rows differ, without those that only follow another option's choice.

    ``activation.group_size`` exists where ``activation.name`` is groupsort: when it is the same
    wherever it exists, the name has said it already.
    """
    varying = [c for c in range(len(keys)) if len({row[c] for row in rows}) > 1]
    if keep_all:
        return varying or list(range(len(keys)))
    found = []
    for column in varying:
        node = keys[column].rpartition(".")[0]
        name = f"{node}.name"
        if name in keys and keys[column] != name:
            at = keys.index(name)
            by_name: dict[str, set[str]] = {}
            for row in rows:
                by_name.setdefault(row[at], set()).add(row[column])
            if at in varying and all(len(values) == 1 for values in by_name.values()):
                continue
        found.append(column)
    return found


def _distinct(members: Sequence[tuple[Run, dict[str, Any]]]) -> tuple[list[Run], list[Run]]:
    """The newest run of every configuration, and those that it repeats.

    Runs are reproducible, so a second one of the same configuration and seed is no evidence of
    its own: counting it would make the spread too small.
    """
    newest: dict[str, Run] = {}
    dropped: list[Run] = []
    for run, own in members:
        key = json.dumps([own, run.seed], sort_keys=True, default=str)
        if key in newest:
            dropped.append(newest.pop(key))
        newest[key] = run
    return list(newest.values()), dropped


def _spreads(runs: Sequence[Run]) -> dict[Column, Spread]:
    values: dict[Column, list[float]] = {}
    for run in runs:
        for figure in run.figures:
            values.setdefault(figure.column, []).append(figure.value)
    return {column: Spread(tuple(found)) for column, found in values.items()}
