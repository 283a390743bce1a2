"""Diagnostics of networks as pictures, one network or several beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.figures.comparison import Line, draw_lines, legend_below, legend_height, look_of
from lipsort_cli.figures.style import MARKERS, drawing, picture

Array = NDArray[np.float64]


def _number(axes: Any, count: int) -> None:
    """Ticks 1 to ``count``, each in the middle of its group, whichever networks have it."""
    axes.set_xticks(range(1, count + 1))
    axes.set_xlim(0.5, count + 0.5)


@drawing
def draw_layer_values(path: Path, networks: Mapping[str, Sequence[Array]], title: str) -> None:
    """All singular values of every layer, a column of points for each network."""
    legend = legend_height(list(networks)) if len(networks) > 1 else 0.0
    with picture(path, height=4.0 + legend) as (figure, axes):
        width = 0.7 / len(networks)
        for index, (label, layers) in enumerate(networks.items()):
            look = look_of(index)
            for depth, values in enumerate(layers, start=1):
                at = depth + (index - (len(networks) - 1) / 2) * width
                axes.vlines(at, values.min(), values.max(), color=look["color"], linewidth=1)
                # Side by side in the order of size, so that many equal values are seen as many.
                spread = np.linspace(-0.4, 0.4, len(values)) * width if len(values) > 1 else [0.0]
                marker, named = MARKERS[index % len(MARKERS)], label if depth == 1 else None
                places = at + np.asarray(spread)
                axes.plot(places, values, marker, ms=2.5, color=look["color"], label=named)
        axes.axhline(1, color="0.3", linewidth=0.8, linestyle="--")
        top = max(float(v.max()) for layers in networks.values() for v in layers)
        axes.set(xlabel="linear layer, from the input", ylabel="singular value", title=title)
        axes.set_ylim(0, 1.08 * max(top, 1))
        _number(axes, max(len(layers) for layers in networks.values()))
        if legend:
            legend_below(figure, axes, 0)


@drawing
def draw_over_depth(
    path: Path,
    networks: Mapping[str, tuple[Array, Array, Array]],
    *,
    quantity: str,
    title: str,
    ticks: Sequence[str] | None = None,
) -> None:
    """Mean with a band from low to high at each depth, for each network."""
    lines = [
        Line(label, list(range(len(mean))), list(mean), list(low), list(high))
        for label, (mean, low, high) in networks.items()
    ]
    legend = legend_height(list(networks)) if len(networks) > 1 else 0.0
    with picture(path, height=4.0 + legend) as (figure, axes):
        draw_lines(axes, lines, markers=True)
        lows = [value for line in lines for value in line.low]
        highs = [value for line in lines for value in line.high]
        if min(lows) > 0 and max(highs) > 20 * min(lows):
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.08 * max(highs))
        axes.set(xlabel="depth (0: the input)", ylabel=quantity)
        axes.set_title(title, fontsize=10)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if ticks is not None and len(ticks) <= 12:
            places = range(len(ticks))
            axes.set_xticks(
                list(places),
                [f"{place}\n{tick}" for place, tick in zip(places, ticks, strict=True)],
                fontsize=7,
            )
            axes.set_xlabel("depth: after which layer")
        if legend:
            legend_below(figure, axes, 0)


@drawing
def draw_activity(
    path: Path, networks: Mapping[str, Sequence[tuple[float, float]]], title: str
) -> None:
    """Bars of the share that is active or swapped; dashes: the share that never changes."""
    linear_label = "the same at every point (linear)"
    legend = legend_height([*networks, linear_label])
    with picture(path, height=3.6 + legend) as (figure, axes):
        width = 0.7 / len(networks)
        for index, (label, layers) in enumerate(networks.items()):
            look = look_of(index)
            at = np.arange(1, len(layers) + 1) + (index - (len(networks) - 1) / 2) * width
            axes.bar(
                at,
                [100 * share for share, _ in layers],
                0.9 * width,
                color=look["color"],
                alpha=0.7,
                hatch=("", "//", "..", "xx")[index % 4],
                edgecolor="0.2",
                linewidth=0.5,
                label=label,
            )
            axes.plot(at, [100 * linear for _, linear in layers], "_", color="0.1", ms=16, mew=2)
        axes.plot([], [], "_", color="0.1", ms=12, mew=2, label=linear_label)
        axes.set(
            xlabel="activation, from the input", ylabel="share (%)", title=title, ylim=(0, 105)
        )
        _number(axes, max(len(layers) for layers in networks.values()))
        legend_below(figure, axes, 0)


@drawing
def draw_gradients(
    path: Path,
    inputs: NDArray[np.float32],
    networks: Mapping[str, NDArray[np.float32]],
    *,
    captions: Sequence[str],
    title: str,
) -> None:
    """Images [n, C, H, W] in the first row, each network's input gradients below.

    A gradient is shown with zero as middle grey, lighter where more light raises the margin and
    darker where it lowers it; each picture fills its own range. Colours are averaged.
    """
    rows, columns = 1 + len(networks), len(inputs)
    with picture(path, width=1.15 * columns + 1.6, height=1.2 * rows + 0.6) as (figure, first):
        first.remove()
        grid = figure.subplots(rows, columns, squeeze=False)
        for column in range(columns):
            shown = inputs[column].transpose(1, 2, 0)
            low, high = float(shown.min()), float(shown.max())
            shown = (shown - low) / max(high - low, 1e-12)
            cell = grid[0][column]
            cell.imshow(shown[..., 0] if shown.shape[2] == 1 else shown, cmap="gray")
            cell.set_title(captions[column], fontsize=8)
            for row, gradients in enumerate(networks.values(), start=1):
                flat = gradients[column].mean(0)
                most = max(float(np.quantile(np.abs(flat), 0.995)), 1e-30)
                grid[row][column].imshow(flat, cmap="gray", vmin=-most, vmax=most)
        for row, name in enumerate(["input", *networks]):
            _name(grid[row], name)
        figure.suptitle(title, fontsize=10)


def _name(cells: Any, name: str) -> None:
    for cell in cells:
        cell.set_xticks([])
        cell.set_yticks([])
        cell.grid(False)
        for spine in cell.spines.values():
            spine.set_visible(False)
    words = name.replace(", ", ",\n")
    cells[0].set_ylabel(words, fontsize=8, rotation=0, ha="right", va="center")
