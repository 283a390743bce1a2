"""The two kinds of pictures that a reproduction needs: dots by setting, curves by setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lipsort_cli.figures.style import COLOURS, MARKERS, drawing, picture
from lipsort_cli.reproduction.statistics import Sample

Curve = tuple[str, Sequence[float], Sequence[Sample]]
"""Label, positions, and a sample at each of them."""


@drawing
def dots(
    path: Path,
    rows: Sequence[tuple[str, Sample]],
    *,
    xlabel: str,
    title: str,
    reference: tuple[float, str] | None = None,
    log: bool = False,
) -> None:
    """One row a setting: every seed a dot, the mean a bar; a dashed line where ``reference`` is."""
    with picture(path, height=1.4 + 0.27 * len(rows)) as (figure, axes):
        for position, (_, sample) in enumerate(rows):
            y = len(rows) - 1 - position
            if not sample.by_seed:
                continue
            axes.plot(sample.values, [y] * len(sample.values), "o", color=COLOURS[0], alpha=0.6)
            axes.plot([sample.mean], [y], "|", color="black", markersize=13, markeredgewidth=2)
        if reference is not None:
            axes.axvline(reference[0], color="black", linestyle="--", linewidth=1)
            axes.annotate(
                reference[1],
                (reference[0], 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(-3, 2),
                textcoords="offset points",
                ha="right",
                fontsize=8,
            )
        axes.set_yticks(range(len(rows)), [label for label, _ in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        if log and any(sample.by_seed for _, sample in rows):
            axes.set_xscale("log")
        axes.set(xlabel=xlabel)
        # Over the whole width: long labels leave the axes too little of it.
        figure.suptitle(title, fontsize="large")


@drawing
def curves(
    path: Path,
    lines: Sequence[Curve],
    *,
    xlabel: str,
    ylabel: str,
    title: str,
    log: str = "",
    styles: Sequence[str] = ("-",),
    ylim: tuple[float, float] | None = None,
) -> None:
    """Means over the seeds, with a band of one standard deviation; markers tell lines in grey.

    ``styles`` repeat; ``log`` names the logarithmic axes (x, y or xy).
    """
    with picture(path, height=4.8) as (figure, axes):
        for index, (label, at, samples) in enumerate(lines):
            known = [(x, s) for x, s in zip(at, samples, strict=True) if s.by_seed]
            xs, means = [x for x, _ in known], [s.mean for _, s in known]
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(
                xs,
                means,
                styles[index % len(styles)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=4,
                color=colour,
                label=label,
            )
            low = [s.mean - s.deviation for _, s in known]
            high = [s.mean + s.deviation for _, s in known]
            axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
        # An axis without a positive value cannot be logarithmic.
        if "x" in log and any(x > 0 for _, xs, _ in lines for x in xs):
            axes.set_xscale("log")
        if "y" in log and any(v > 0 for _, _, samples in lines for s in samples for v in s.values):
            axes.set_yscale("log")
        if ylim is not None:
            axes.set_ylim(*ylim)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        # Beside the curves, which may be anywhere.
        figure.legend(fontsize=8, loc="outside lower center", ncols=2)
