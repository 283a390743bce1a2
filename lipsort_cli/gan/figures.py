"""The picture of a GAN's training: the critic's gap, and how steep the critic is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsort_cli.figures.style import COLOURS, drawing, picture


@drawing
def draw_training(path: Path, history: list[dict[str, float]], known: bool, title: str) -> None:
    """The critic's gap against steps, and the slopes between data and samples under it.

    Args:
        path: the PNG file.
        history: logged values, each with ``step``.
        known: whether the critic's constant is known, so that the gap over it is a lower bound of
            the Wasserstein distance of the minibatches.
        title: what was trained.
    """
    if not history:
        return
    steps = [entry["step"] for entry in history]

    def line(axes: Any, name: str, colour: str, style: str, label: str) -> None:
        # One look makes no line.
        marker = "os"[style == "--"] if len(steps) == 1 else None
        values = [entry[name] for entry in history]
        axes.plot(steps, values, style, marker=marker, color=colour, label=label)

    with picture(path, height=5.4) as (figure, _):
        figure.clear()
        above, below = figure.subplots(2, 1, sharex=True)
        if known:
            line(above, "w1_lower", COLOURS[0], "-", "critic's gap over its constant")
            above.set_ylabel("lower bound of W1\n(minibatches, empirical)")
        else:
            line(above, "critic_gap", COLOURS[0], "-", "critic's gap")
            above.set_ylabel("critic's gap\n(no distance)")
        above.set_title(title)
        above.set_ylim(bottom=min(0.0, above.get_ylim()[0]))
        line(below, "gradient_norm", COLOURS[0], "-", "mean")
        line(below, "gradient_norm_largest", COLOURS[1], "--", "largest")
        below.xaxis.get_major_locator().set_params(integer=True)
        below.set(xlabel="generator step", ylabel="norm of the critic's gradient\n(empirical)")
        below.margins(y=0.1)  # points at the top are not cut
        below.set_ylim(bottom=0)
        below.legend(loc="lower right")
