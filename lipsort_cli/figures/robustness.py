"""Certified accuracy against radius, with the attack as its upper curve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lipsort_cli.directed_text import share_down
from lipsort_cli.figures.style import COLOURS, drawing, picture
from lipsort_cli.norms import NAMES


@drawing
def draw_robustness(
    path: Path,
    radii: ArrayLike,
    *,
    norm: str,
    title: str,
    clean: float | None = None,
    attacked: Mapping[float, float] | None = None,
    eps: ArrayLike = (),
    what: str = "accuracy",
    unit: str = "raw input units",
) -> None:
    """Draw the share of examples with a radius of at least r over r.

    ``radii`` [N] are 0 where nothing is certified; ``eps`` are marked with their certified
    accuracy. ``clean`` is marked at radius 0; ``attacked``: accuracy under attack by radius, which
    no certificate may exceed. For the axes: ``what`` the share is of, and the ``unit`` of radii.
    """
    values = np.sort(np.asarray(radii, dtype=np.float64))
    n = len(values)
    marks = [float(value) for value in np.asarray(eps, dtype=np.float64)]
    right = 1.05 * max([*marks, *(attacked or ()), float(values[-1]) if n else 0.0, 1e-6])
    grid = np.linspace(right / 1000, right, 1000)
    share = 1 - np.searchsorted(values, grid, side="left") / max(n, 1)
    with picture(path) as (figure, axes):
        axes.fill_between(grid, 100 * share, color=COLOURS[0], alpha=0.15, linewidth=0)
        axes.plot(grid, 100 * share, color=COLOURS[0], linewidth=2, label="certified (proven)")
        if attacked:
            known = dict(attacked) if clean is None else {0.0: clean, **attacked}
            at = sorted(known)
            axes.plot(
                at,
                [100 * known[value] for value in at],
                "s",  # no line: between the radii attacked nothing was measured
                color=COLOURS[1],
                label="under attack (empirical)",
            )
        elif clean is not None:
            axes.plot([0], [100 * clean], "s", color=COLOURS[1], label="clean (empirical)")
        for value in marks:
            _mark(axes, value, float((values >= value).mean()) if n else 0.0)
        axes.set(xlabel=f"{NAMES[norm]} radius ({unit})", ylabel=f"{what} (%)", title=title)
        axes.set(xlim=(-0.01 * right, right), ylim=(0, 104))
        figure.legend(loc="outside lower center", ncols=3)  # below: it covers no curve


def _mark(axes: Any, radius: float, certified: float) -> None:
    """A point of the certified curve, with its share in per cent."""
    height = 100 * certified
    axes.plot([radius], [height], "o", color=COLOURS[0])
    # Inside the area, as above it stand the attack's markers, and left, as the curve falls;
    # where the area is too low, above, clear of the axis.
    low = height < 8
    axes.annotate(
        share_down(certified, 1).rstrip("%"),
        (radius, height),
        xytext=(-4, 4 if low else -4),
        textcoords="offset points",
        ha="right",
        va="bottom" if low else "top",
        fontsize=8,
        color=COLOURS[0],
    )
