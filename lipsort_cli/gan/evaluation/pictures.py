"""A generator's quality as people look at it: every measure, samples beside their nearest data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from torch import Tensor

from lipsort_cli.console import console, plural, show_table
from lipsort_cli.data import Dataset
from lipsort_cli.directed_text import at_least
from lipsort_cli.figures.style import COLOURS, drawing, picture, segments
from lipsort_cli.gan.evaluation.kernel import Estimate
from lipsort_cli.gan.evaluation.manifolds import nearest
from lipsort_cli.gan.evaluation.measures import DATA, GENERATED, Measure

_ARROWS = {"lower": "↓", "higher": "↑", None: ""}


def value_text(measure: Measure, value: Estimate) -> str:
    """A value with its standard error; bounds rounded down, as they are lower ones."""
    if measure.evidence != "empirical":
        return at_least(value.value, 4)
    if value.standard_error > 0:
        return f"{value.value:.3g} ± {value.standard_error:.1g}"
    return f"{value.value:.4g}"


def show(measures: dict[str, Measure], count: int, features: str) -> None:
    """Print the table and how it is to be read."""
    rows = []
    for measure in measures.values():
        cells = [
            value_text(measure, measure.values[row]) if row in measure.values else ""
            for row in (GENERATED, DATA)
        ]
        title = f"{measure.title} {_ARROWS[measure.better]}".rstrip()
        rows.append((title, *cells, measure.evidence))
    show_table(
        ["measure", GENERATED, DATA, "evidence"],
        rows,
        title=f"{count:,} generated samples against as many test examples",
        left=["measure", "evidence"],
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    console.print(
        "Arrows: which way is better. Column data: training examples in the samples' place,\n"
        "as from a perfect generator"
    )
    console.print(f"Features: {features}")


_COLUMNS = 10
_NEIGHBOURS = 3
_POINTS = 2000
_LINES = 200
_COLOUR = {GENERATED: COLOURS[0], DATA: "0.7"}
_NAME = {GENERATED: "generated", DATA: "data (training against test)"}


def draw_neighbours(path: Path, sample: Tensor, dataset: Dataset, device: torch.device) -> bool:
    """Samples above their nearest training examples (L2 in raw units); whether it was drawn.

    Points of the plane are scattered instead, with a line from each to its nearest example.
    """
    shape = dataset.input_shape
    if len(shape) == 3 and shape[0] in (1, 3):
        return _draw_images(path, sample[:_COLUMNS], dataset, device)
    return shape == (2,) and _draw_points(path, sample, dataset, device)


def _near(points: Tensor, train: Tensor, k: int, device: torch.device) -> Any:
    return nearest(points.flatten(1).to(device), train.flatten(1).to(device), k)


@drawing
def _draw_images(path: Path, sample: Tensor, dataset: Dataset, device: torch.device) -> None:
    train = dataset.train.inputs
    found = _near(sample, train, _NEIGHBOURS, device)
    k = found.rows.shape[1]
    with picture(path, width=0.75 * len(sample) + 1.1, height=0.9 * (k + 1) + 0.7) as (figure, _):
        figure.clear()
        axes = figure.subplots(k + 1, len(sample), squeeze=False)
        for column in range(len(sample)):
            for row in range(k + 1):
                here = axes[row, column]
                image = sample[column] if row == 0 else train[found.rows[column, row - 1]]
                pixels = image.clamp(0, 1).permute(1, 2, 0).squeeze(2)
                here.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1)
                here.set(xticks=[], yticks=[])
                here.grid(False)
                for side in here.spines.values():
                    side.set_visible(row == 0)
                if row:
                    distance = float(found.distances[column, row - 1])
                    here.set_xlabel(f"{distance:.1f}", fontsize=8, labelpad=1)
        axes[0, 0].set_ylabel("sample", fontsize=9)
        for row in range(1, k + 1):
            axes[row, 0].set_ylabel(f"nearest {row}", fontsize=9)
        figure.suptitle(
            f"{dataset.name}: generated samples above their nearest training examples\n"
            "numbers: L2 distance in raw pixels",
            fontsize=9,
        )


@drawing
def _draw_points(path: Path, sample: Tensor, dataset: Dataset, device: torch.device) -> None:
    train = dataset.train.inputs
    shown = sample[:_POINTS]
    few = shown[:_LINES]
    ends = train[_near(few, train, 1, device).rows[:, 0]]
    with picture(path, width=5.6, height=5.6) as (_, axes):
        axes.scatter(*train[:_POINTS].T, s=5, color="0.7", label="training data")
        axes.scatter(*shown.T, s=5, color=COLOURS[0], alpha=0.6, label="generated")
        axes.plot(*segments(few, ends), color=COLOURS[1], linewidth=0.8)
        label = f"to the nearest example ({plural(len(few), 'sample')})"
        axes.plot([], [], color=COLOURS[1], label=label)
        axes.set_aspect("equal")
        axes.set(xlabel="x1", ylabel="x2", title=f"{dataset.name}: generated samples on the data")
        axes.legend(loc="upper right", fontsize=8)


@drawing
def draw_quality(
    path: Path, measures: dict[str, Measure], shares: dict[str, list[float]] | None, title: str
) -> None:
    """Every measure as a pair of bars, each on its own scale; below, the shares of classes."""
    count = len(measures)
    height = 0.5 * count + 0.9 + (2.2 if shares else 0)
    with picture(path, width=7.2, height=height) as (figure, _):
        figure.clear()
        ratios = [1.0] * count + ([4.4] if shares else [])
        axes = figure.subplots(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0]
        for here, measure in zip(axes, measures.values(), strict=False):
            _draw_measure(here, measure)
        if shares:
            _draw_shares(axes[-1], shares)
        handles = [axes[0].barh(0, 0, color=_COLOUR[row]) for row in (GENERATED, DATA)]
        figure.legend(
            handles, [_NAME[GENERATED], _NAME[DATA]], loc="outside upper right", ncols=2, fontsize=8
        )
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")


def _draw_measure(axes: Any, measure: Measure) -> None:
    found = [(row, measure.values[row]) for row in (GENERATED, DATA) if row in measure.values]
    top = max([abs(v.value) + v.standard_error for _, v in found] + [1e-12])
    for place, (row, value) in enumerate(found):
        # An unbiased estimate may be negative: a bar has nothing to show then.
        shown = max(value.value, 0.0)
        axes.barh(-place, shown, xerr=value.standard_error or None, color=_COLOUR[row], height=0.8)
        text = value_text(measure, value)
        axes.text(shown + value.standard_error + 0.02 * top, -place, text, va="center", fontsize=8)
    axes.set(xlim=(0, 1.4 * top), xticks=[], yticks=[])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    way = f"\n{measure.better} is better" if measure.better else ""
    words = f"{measure.title}\n({measure.evidence}){way}"
    axes.set_ylabel(words, rotation=0, ha="right", va="center", fontsize=7.5)


def _draw_shares(axes: Any, shares: dict[str, list[float]]) -> None:
    for place, row in enumerate((GENERATED, DATA)):
        classes = np.arange(len(shares[row]))
        axes.bar(classes + 0.4 * place - 0.2, shares[row], 0.4, color=_COLOUR[row])
    axes.set(xlabel="predicted class", ylabel="share (empirical)")
    if len(shares[DATA]) <= 30:
        axes.set_xticks(range(len(shares[DATA])))
    axes.grid(axis="x", visible=False)
