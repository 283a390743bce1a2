"""What a search found: the front of two goals, or how one got better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lipsort_cli.figures.comparison import worded
from lipsort_cli.figures.style import COLOURS, drawing, picture


def _scaled(name: str, values: Sequence[float]) -> tuple[str, list[float]]:
    words, factor = worded(name)
    return words, [factor * value for value in values]


@drawing
def draw_front(
    path: Path,
    points: Mapping[int, tuple[float, float]],
    front: Sequence[int],
    names: tuple[str, str],
    *,
    best: int,
    title: str,
) -> None:
    """Every trial as a point; those of the front by number, in the order that joins them.

    ``points``: both values of each trial by its number; ``front``: numbers of the trials that no
    other is better than in everything, in order; ``names``: of the two values, the first of which
    lies on the vertical axis; ``best``: the number of the one that is pointed out.
    """
    up, ys = _scaled(names[0], [pair[0] for pair in points.values()])
    across, xs = _scaled(names[1], [pair[1] for pair in points.values()])
    at = dict(zip(points, zip(xs, ys, strict=True), strict=True))
    with picture(path) as (_, axes):
        axes.plot(xs, ys, "o", color="0.7", markersize=5, label="trials")
        line = [at[number] for number in front]
        # Dotted: between its points nothing was tried.
        axes.plot(*zip(*line, strict=True), "o:", color=COLOURS[0], label="front")
        axes.plot(*at[best], "D", color=COLOURS[1], markersize=8, label="largest sum")
        for number in front:
            axes.annotate(
                str(number), at[number], xytext=(5, 5), textcoords="offset points", fontsize=8
            )
        axes.set(xlabel=across, ylabel=up, title=title)
        axes.margins(0.08)
        axes.legend()


@drawing
def draw_history(
    path: Path, points: Mapping[int, float], name: str, *, largest: bool, title: str
) -> None:
    """The value of each trial over its number, and the best so far."""
    words, values = _scaled(name, list(points.values()))
    best, so_far = (max if largest else min), list[float]()
    for value in values:
        so_far.append(best([*so_far[-1:], value]))
    with picture(path) as (_, axes):
        axes.plot(list(points), values, "o", color="0.6", markersize=5, label="trials")
        axes.step(list(points), so_far, where="post", color=COLOURS[0], label="best so far")
        axes.set(xlabel="trial", ylabel=words, title=title)
        axes.legend()
