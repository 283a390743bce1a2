"""Several runs in one picture: certified accuracy over eps, metrics over steps, bars, intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsort_cli.figures.style import COLOURS, MARKERS, drawing, picture
from lipsort_cli.norms import NAMES

TOLD_APART = 8
"""Lines of one picture that get a colour, a marker and a place in the legend."""
_DASHES = ("-", "--", ":", "-.")
_REST = {"color": "0.75", "linewidth": 0.8, "zorder": 1}


@dataclass(frozen=True)
class Line:
    """Mean with the extremes over the runs that it stands for, at each x."""

    label: str
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def look_of(index: int) -> dict[str, Any]:
    """Colour, marker and dashes: neighbours differ in all three, so also in grey."""
    colour, dashes = COLOURS[index % len(COLOURS)], _DASHES[index % len(_DASHES)]
    return {"color": colour, "linestyle": dashes, "linewidth": 1.6, "zorder": 3}


def draw_lines(
    axes: Any,
    lines: Sequence[Line],
    *,
    markers: bool,
    scale: float = 1.0,
    joined: Callable[[str], bool] = lambda label: True,
) -> None:
    """Lines with their bands; from the ninth on in grey, without a name.

    ``joined``: whether the markers of a line, by its label, are joined.
    """
    for index, line in enumerate(lines):
        mean = [scale * value for value in line.mean]
        if index >= TOLD_APART:
            if joined(line.label):
                axes.plot(line.x, mean, **_REST)
            continue
        look = look_of(index) | ({} if joined(line.label) else {"linestyle": "none"})
        marker = MARKERS[index % len(MARKERS)] if markers or len(line.x) == 1 else None
        axes.plot(line.x, mean, marker=marker, markersize=5, label=line.label, **look)
        banded = any(low < high for low, high in zip(line.low, line.high, strict=True))
        if banded and joined(line.label):
            low, high = ([scale * value for value in values] for values in (line.low, line.high))
            axes.fill_between(line.x, low, high, color=look["color"], alpha=0.15, linewidth=0)


def draw_curve(axes: Any, line: Line, look: dict[str, Any]) -> None:
    """A line of shares in per cent with its band, without markers and without a name."""
    low, high, mean = ([100 * v for v in values] for values in (line.low, line.high, line.mean))
    axes.plot(line.x, mean, **look)
    if look is not _REST:
        axes.fill_between(line.x, low, high, color=look["color"], alpha=0.15, linewidth=0)


def legend_below(figure: Any, axes: Any, hidden: int) -> None:
    """One legend below everything, so that it covers no line."""
    handles, labels = axes.get_legend_handles_labels()
    if hidden:
        handles.append(axes.plot([], [], **_REST)[0])
        labels.append(f"{hidden} more")
    columns = _columns(labels)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8)


def legend_height(labels: Sequence[str]) -> float:
    """Inches that a legend of these entries needs."""
    shown = min(len(labels), TOLD_APART) + (len(labels) > TOLD_APART)
    return 0.2 * math.ceil(shown / _columns(labels)) + 0.1


def _columns(labels: Sequence[str]) -> int:
    return 1 if any(len(label) > 44 for label in labels) else 2


def worded(name: str) -> tuple[str, int]:
    """A figure's name in words, and the factor that it is shown with: shares are in per cent."""
    words = name.replace(".", " ").replace("_", " ").replace(" estimate", " (estimate)")
    share = name.endswith(("accuracy", "estimate", "share"))
    return (f"{words} (%)", 100) if share else (words, 1)


@drawing
def draw_accuracy(
    path: Path,
    lines: Sequence[Line],
    attacked: Mapping[str, Line],
    *,
    norm: str,
    title: str,
    curves: Mapping[str, Line] | None = None,
) -> None:
    """Certified accuracy of every row over eps; hollow markers: what was left under attack.

    ``curves``: by label, the accuracy at every radius, where those of all points are known. The
    markers of such a line are not joined: the curve says what is between them.
    """
    curves = curves or {}
    unit = NAMES.get(norm, norm)
    legend = legend_height([line.label for line in lines])
    with picture(path, width=6.8, height=4.0 + legend) as (figure, axes):
        draw_lines(axes, lines, markers=True, scale=100, joined=lambda one: one not in curves)
        for index, line in enumerate(lines):
            if line.label in curves:
                told = index < TOLD_APART
                draw_curve(axes, curves[line.label], look_of(index) if told else _REST)
        for index, line in enumerate(lines[:TOLD_APART]):
            if line.label in attacked:
                found = attacked[line.label]
                marker, colour = MARKERS[index % len(MARKERS)], COLOURS[index % len(COLOURS)]
                shares = [100 * value for value in found.mean]
                axes.plot(found.x, shares, marker, markerfacecolor="none", color=colour, zorder=2)
        xlabel = f"eps: {unit} radius (raw input units)"
        axes.set(xlabel=xlabel, ylabel="accuracy (%)", title=title, ylim=(0, 102))
        axes.set_xlim(left=0)
        legend_below(figure, axes, max(0, len(lines) - TOLD_APART))


@drawing
def draw_metrics(path: Path, panels: Mapping[str, Sequence[Line]], title: str) -> None:
    """One panel a metric over training steps; lines are means, bands reach from least to most."""
    names = list(panels)
    columns = 2 if len(names) == 4 else min(len(names), 3)
    rows = math.ceil(len(names) / columns)
    longest = max(panels.values(), key=len)
    legend = legend_height([line.label for line in longest])
    with picture(path, width=3.2 * columns + 0.6, height=2.6 * rows + legend + 0.3) as (fig, first):
        first.remove()
        grid = fig.subplots(rows, columns, squeeze=False)
        fullest = grid[0][0]
        for place, name in enumerate(names):
            axes = grid[place // columns][place % columns]
            words, scale = worded(name)
            draw_lines(axes, panels[name], markers=False, scale=scale)
            axes.set_title(words, fontsize=9)
            if _wants_logarithm(panels[name]) and scale == 1:
                axes.set_yscale("log")
            if place + columns >= len(names):
                axes.set_xlabel("training step", fontsize=9)
            if panels[name] is longest:
                fullest = axes
        for place in range(len(names), rows * columns):
            grid[place // columns][place % columns].remove()
        fig.suptitle(title, fontsize=10)
        legend_below(fig, fullest, max(0, len(longest) - TOLD_APART))


def _wants_logarithm(lines: Sequence[Line]) -> bool:
    values = [value for line in lines for value in line.mean]
    return bool(values) and min(values) > 0 and max(values) > 50 * min(values)


@drawing
def draw_bars(
    path: Path,
    labels: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    quantity: str,
    title: str,
    percent: bool,
) -> None:
    """Bars of the mean over runs, a dot for each of them, best on top."""
    factor = 100 if percent else 1
    with picture(path, width=6.8, height=1.3 + 0.36 * len(labels)) as (_, axes):
        places = range(len(labels) - 1, -1, -1)
        means = [factor * math.fsum(found) / len(found) for found in values]
        axes.barh(list(places), means, height=0.6, color=COLOURS[0], alpha=0.55)
        for place, found in zip(places, values, strict=True):
            axes.plot(
                [factor * value for value in found], [place] * len(found), "o", color="0.15", ms=4
            )
        axes.set_yticks(list(places), [_shortened(label) for label in labels], fontsize=8)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel=quantity + (" (%)" if percent else ""), title=title)
        low = min(0.0, *(factor * value for found in values for value in found))
        axes.set_xlim(left=low)


@drawing
def draw_intervals(
    path: Path,
    labels: Sequence[str],
    lower: Sequence[float],
    upper: Sequence[float],
    truth: Sequence[float | None],
    title: str,
) -> None:
    """The interval in which W1 lies, one a row, with the true distance where it is known."""
    with picture(path, width=6.8, height=1.5 + 0.36 * len(labels)) as (figure, axes):
        places = list(range(len(labels) - 1, -1, -1))
        axes.hlines(places, lower, upper, color=COLOURS[0], linewidth=2)
        axes.plot(lower, places, ">", color=COLOURS[0], ms=7, label="lower bound")
        axes.plot(upper, places, "<", color=COLOURS[1], ms=7, label="upper bound")
        known = [(value, place) for value, place in zip(truth, places, strict=True) if value]
        if known:
            axes.plot(*zip(*known, strict=True), "|", color="0.15", ms=14, label="true distance")
        axes.set_yticks(places, [_shortened(label) for label in labels], fontsize=8)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="Wasserstein-1 distance (units of the data)", title=title)
        axes.set_ylim(-0.6, len(labels) - 0.4)
        axes.set_xlim(left=min(0.0, *lower))
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)


def _shortened(label: str, most: int = 48) -> str:
    """A label that leaves room for the picture; tables have it in full."""
    return label if len(label) <= most else label[: most - 3] + "..."
