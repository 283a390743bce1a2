"""`lipsort predict RUN DATA`: the class of each row of new data, and how far it is certified."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.certificates.files import CERTIFICATE
from lipsort_cli.certificates.predictions import Predictions, predicted
from lipsort_cli.commands.earlier import write_result
from lipsort_cli.config.certificates import PredictConfig, settled
from lipsort_cli.console import console, follow_up, located, plural, results_line, say, show_table
from lipsort_cli.data.unseen import Batch, Unseen, open_unseen
from lipsort_cli.directed_text import at_least, share_down
from lipsort_cli.errors import UsageError
from lipsort_cli.figures.robustness import draw_robustness
from lipsort_cli.files import make_folder, replacing
from lipsort_cli.norms import NAMES
from lipsort_cli.trained import open_predictor

Columns = dict[str, list[Any]]

SUMMARY = "predictions.json"
_UNITS = {"raw": "raw input units", "deviations": "standard deviations of each column"}
_SHOWN = 12
"""Classes that a table on screen lists."""


@dataclass
class Seen:
    """What is kept of all rows: class and radius, 16 bytes a row, and counts of labels."""

    classes: list[NDArray[np.int64]] = field(default_factory=list)
    radii: list[NDArray[np.float64]] = field(default_factory=list)
    labelled: int = 0
    right: int = 0

    def add(self, batch: Batch, found: Predictions) -> None:
        """Count one batch in."""
        self.classes.append(found.classes)
        self.radii.append(found.radii)
        if batch.labels is not None:
            self.labelled += int((batch.labels >= 0).sum())
            self.right += int((found.classes == batch.labels).sum())

    @property
    def rows(self) -> int:
        """Rows predicted."""
        return sum(map(len, self.radii))


def run(config: PredictConfig, directory: Path) -> None:
    """Predict ``config.data``; writes ``predictions.csv`` (or ``.parquet``) and a summary."""
    predictor = open_predictor(config.run)
    unseen = open_unseen(config.data.path, predictor.taken, settled(config.data, predictor.data))
    for note in unseen.notes:
        say(note)
    norm = config.norm or predictor.norm
    arithmetic = config.arithmetic or predictor.arithmetic
    arithmetic = "real" if config.units == "deviations" else arithmetic
    seen = Seen()
    make_folder(directory)
    path = directory / f"predictions.{config.format}"
    with replacing(path) as file, _WRITERS[config.format](file, unseen) as write:
        for batch, found in predicted(
            predictor, unseen, norm=norm, arithmetic=arithmetic, units=config.units
        ):
            write(_columns(batch, found))
            seen.add(batch, found)
        if not seen.rows:
            raise UsageError(f"data.path: {unseen.name} holds no rows to predict")
    _report(config, norm, arithmetic, predictor.taken.classes, unseen, seen, directory)


def _columns(batch: Batch, found: Predictions) -> Columns:
    # A byte of a name that is no UTF-8 is half a surrogate pair, which no table may hold.
    names = [name.encode("utf-8", "backslashreplace").decode() for name in found.names]

    def named(numbers: NDArray[np.int64]) -> list[str]:
        return [names[number] for number in numbers.tolist()]

    columns: Columns = {
        "index": batch.rows.tolist(),
        "class": named(found.classes),
        "runner_up": named(found.runner_up),
        "margin": found.margins.tolist(),
        "certified_radius": found.radii.tolist(),
    }
    if batch.labels is not None:
        labels, right = batch.labels.tolist(), (found.classes == batch.labels).tolist()
        columns["label"] = [None if one < 0 else names[one] for one in labels]
        columns["correct"] = [None if n < 0 else r for n, r in zip(labels, right, strict=True)]
    if batch.files is not None:
        columns["file"] = [f.encode("utf-8", "backslashreplace").decode() for f in batch.files]
    return columns


# --- files ----------------------------------------------------------------------------------------


@contextmanager
def _csv(file: IO[bytes], unseen: Unseen) -> Iterator[Callable[[Columns], None]]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_kinds(unseen))

    def write(columns: Columns) -> None:
        words = {True: "true", False: "false", None: ""}
        if "correct" in columns:
            columns = columns | {"correct": [words[value] for value in columns["correct"]]}
        writer.writerows(zip(*columns.values(), strict=True))

    yield write
    text.detach()


@contextmanager
def _parquet(file: IO[bytes], unseen: Unseen) -> Iterator[Callable[[Columns], None]]:
    import pyarrow as pa
    from pyarrow import parquet

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in _kinds(unseen).items()])
    with parquet.ParquetWriter(pa.PythonFile(file), schema) as writer:
        yield lambda columns: writer.write_table(pa.table(columns, schema))


_WRITERS: dict[str, Callable[[IO[bytes], Unseen], AbstractContextManager[Any]]] = {
    "csv": _csv,
    "parquet": _parquet,
}


def _kinds(unseen: Unseen) -> dict[str, type]:
    """The columns of the table, and what they hold."""
    kinds: dict[str, type] = {"index": int, "class": str, "runner_up": str}
    kinds |= {"margin": float, "certified_radius": float}
    kinds |= {"label": str, "correct": bool} if unseen.labelled else {}
    return kinds | ({"file": str} if unseen.pictures else {})


# --- words ----------------------------------------------------------------------------------------


def _report(
    config: PredictConfig,
    norm: str,
    arithmetic: str,
    names: tuple[str, ...],
    unseen: Unseen,
    seen: Seen,
    directory: Path,
) -> None:
    radii, rows = np.concatenate(seen.radii), seen.rows
    summary: dict[str, Any] = {
        "data": unseen.name,
        "rows": rows,
        "norm": norm,
        "units": _UNITS[config.units],
        "arithmetic": arithmetic,
        "certified": float((radii > 0).mean()),
        "median_radius": float(np.quantile(radii, 0.5, method="lower")),
        "evidence": {"certified_radius": "proven", "margin": "empirical", "accuracy": "empirical"},
    }
    if seen.labelled:
        summary |= {"accuracy": seen.right / seen.labelled, "labelled": seen.labelled}
    write_result(directory / SUMMARY, summary, config)
    draw_robustness(
        directory / "figures" / "predictions.png",
        radii,
        norm=norm,
        title=f"{Path(unseen.name).name}: answers that cannot change, in {arithmetic} arithmetic",
        what="rows",
        unit=_UNITS[config.units],
    )
    _table(np.concatenate(seen.classes), radii, names, unseen, f"{NAMES[norm]}, {arithmetic}")
    if seen.labelled:
        some = "" if seen.labelled == rows else f"{seen.labelled:,} "
        console.print(
            f"Accuracy {seen.right / seen.labelled:.2%} (empirical: {some}labels of "
            f"{located(unseen.name)})"
        )
    console.print(
        f"Within its radius ({_UNITS[config.units]}, {NAMES[norm]}) a row's class cannot change, "
        f"in {arithmetic} arithmetic (proven); 0: nothing is certified"
    )
    files = f"with {SUMMARY}", "figures/predictions.png"
    results_line("Predictions", directory / f"predictions.{config.format}", *files)
    certified = (Path(config.run) / CERTIFICATE).is_file()
    follow_up("lipsort", "attack" if certified else "certify", Path(config.run))


def _table(
    classes: NDArray[np.int64],
    radii: NDArray[np.float64],
    names: tuple[str, ...],
    unseen: Unseen,
    how: str,
) -> None:
    counts = np.bincount(classes, minlength=len(names))
    found = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
    rows = []
    for number in found[:_SHOWN]:
        own = radii[classes == number]
        middle = float(np.quantile(own, 0.5, method="lower"))
        share = share_down(float((own > 0).mean()))
        rows.append((names[number], f"{len(own):,}", share, at_least(middle, 4)))
    show_table(
        ["class", "rows", "certified", "median radius\n(proven)"],
        rows,
        title=f"{plural(len(radii), 'row')} of {located(unseen.name)}, {how}",
        left=["class"],
    )
    if len(found) > _SHOWN:
        console.print(f"and {len(found) - _SHOWN} more classes")
