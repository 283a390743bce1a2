"""The two kinds of pictures that a reproduction needs: dots by setting, curves by setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lipsort_cli.figures.comparison import look_of
from lipsort_cli.figures.style import COLOURS, MARKERS, drawing, picture
from lipsort_cli.reproduction.outcomes import Arm, Metric
from lipsort_cli.reproduction.statistics import Sample

Curve = tuple[str, Sequence[float], Sequence[Sample]]
"""Label, positions, and a sample at each of them."""

_KINDS = ("-", ":")


def labels(arms: Sequence[Arm]) -> list[str]:
    """What tells the arms of one picture apart, once: not the words that all presets begin with."""
    names = [arm.name.split() for arm in arms]
    common = 0
    while names and len({tuple(name[: common + 1]) for name in names}) == 1 and names[0][common:]:
        common += 1
    sides = len({arm.side for arm in arms}) > 1
    return [
        f"{'ours: ' if sides and arm.side == 'ours' else ''}"
        + ", ".join(
            filter(None, [" ".join(w for w in name[common:] if w not in arm.words), *arm.words])
        )
        for arm, name in zip(arms, names, strict=True)
    ]


@drawing
def dots(
    path: Path,
    arms: Sequence[Arm],
    metric: Metric,
    *,
    xlabel: str,
    title: str,
    reference: tuple[float, str] | None = None,
    log: bool = False,
) -> None:
    """One row an arm: every seed a dot (ours a diamond), the mean a bar.

    A dashed line where ``reference`` is.
    """
    with picture(path, height=1.4 + 0.27 * len(arms)) as (figure, axes):
        for y, arm in enumerate(reversed(arms)):
            sample = arm.sample(metric)
            kind = 1 if arm.side == "ours" else 0
            row, colour = [y] * len(sample.values), COLOURS[kind]
            axes.plot(sample.values, row, ("o", "D")[kind], color=colour, alpha=0.6)
            axes.plot([sample.mean], [y], "|", color="black", markersize=13, markeredgewidth=2)
        if reference is not None:
            axes.axvline(reference[0], color="black", linestyle="--", linewidth=1)
            above: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            at = (reference[0], 1.0)
            axes.annotate(reference[1], at, (-3, 2), ha="right", fontsize=8, **above)
        axes.set_yticks(range(len(arms)), labels(arms)[::-1])
        axes.set_ylim(-0.6, len(arms) - 0.4)
        if log and arms:
            axes.set_xscale("log")
        # Over the whole width: long labels leave the axes too little of it.
        figure.supxlabel(xlabel, fontsize="medium")
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
    kinds: int = 1,
    ylim: tuple[float, float] | None = None,
) -> None:
    """Means over the seeds, with a band of one standard deviation; markers tell lines in grey.

    ``kinds``: so many lines in a row are of one arm, of its colour and marker, the first drawn
    through, the second dotted. ``log`` names the logarithmic axes (x, y or xy).
    """
    with picture(path, height=4.8) as (figure, axes):
        for index, (label, at, samples) in enumerate(lines):
            known = [(x, s) for x, s in zip(at, samples, strict=True) if s.by_seed]
            xs, means = [x for x, _ in known], [s.mean for _, s in known]
            arm, kind = divmod(index, kinds)
            look = look_of(arm) | ({"linestyle": _KINDS[kind]} if kinds > 1 else {})
            axes.plot(
                xs, means, marker=MARKERS[arm % len(MARKERS)], markersize=5, label=label, **look
            )
            low = [s.mean - s.deviation for _, s in known]
            high = [s.mean + s.deviation for _, s in known]
            axes.fill_between(xs, low, high, color=look["color"], alpha=0.15, linewidth=0)
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
