"""The pictures of a comparison, and what there is to see on each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lipsort_cli.directed_text import at_most
from lipsort_cli.figures.comparison import (
    TOLD_APART,
    Line,
    draw_accuracy,
    draw_bars,
    draw_intervals,
    draw_metrics,
)
from lipsort_cli.reports.blocks import Picture
from lipsort_cli.reports.columns import best_first, find_column
from lipsort_cli.reports.rows import Comparison, Row, Spread
from lipsort_cli.reports.values import Column, is_figure, is_share, shown

_GRID = 400
"""Radii at which a curve of all points is drawn."""
_NO_METRICS = ("epoch", "step", "split", "lr")


def draw(comparison: Comparison, folder: Path, sort: Column | None) -> Iterator[Picture]:
    """Draw whatever the comparison's figures allow; rows keep their order and their look."""
    rows = comparison.rows
    stem = comparison.command.replace("-", "_")
    names = [name for row in rows for name, _, _ in row.figures]
    certified = [name for name in names if name.startswith("certified_accuracy.")]
    for norm in dict.fromkeys(name.split(".")[1] for name in certified):
        yield from _accuracy(rows, folder / f"{stem}_accuracy_{norm}.png", norm)
    yield from _intervals(comparison, folder / f"{stem}_bounds.png")
    if sort is not None and len(rows) > 1:
        yield from _bars(rows, folder / f"{stem}_sorted.png", sort)
    for split in dict.fromkeys(
        str(line.get("split")) for row in rows for run in row.runs for line in run.log
    ):
        yield from _metrics(rows, folder / f"{stem}_{split}.png", split)
    yield from _samples(rows)


def _samples(rows: Sequence[Row]) -> Iterator[Picture]:
    """What the first generator of each row makes."""
    for row in rows[:TOLD_APART]:
        path = row.runs[0].directory / "figures" / "samples.png"
        if path.is_file():
            yield Picture(path, f"Generated samples of one fixed noise, not selected: {row.label}.")


def _hidden(rows: Sequence[Row]) -> str:
    if len(rows) <= TOLD_APART:
        return ""
    return f" The first {TOLD_APART} rows of the table are told apart, the others are grey."


# --- accuracy over eps ------------------------------------------------------------------------


def _over_eps(row: Row, prefix: str) -> Line | None:
    """Figures ``prefix.EPS`` of a row, from the first detail that it has them in."""
    found: dict[str, dict[float, Spread]] = {}
    for (name, _, detail), spread in row.figures.items():
        if name.startswith(f"{prefix}."):
            found.setdefault(detail, {})[float(name.removeprefix(f"{prefix}."))] = spread
    if not found:
        return None
    points = next(iter(found.values()))
    return _line(row.label, {eps: points[eps].values for eps in sorted(points)})


def _line(label: str, points: Mapping[float, Sequence[float]]) -> Line:
    mean = [Spread(tuple(values)).mean for values in points.values()]
    return Line(
        label, list(points), mean, [min(v) for v in points.values()],
        [max(v) for v in points.values()],
    )  # fmt: skip


def _accuracy(rows: Sequence[Row], path: Path, norm: str) -> Iterator[Picture]:
    lines = [(row, _over_eps(row, f"certified_accuracy.{norm}")) for row in rows]
    certified = [line for _, line in lines if line is not None]
    if not certified:
        return
    attacked = {
        line.label: under
        for row, line in lines
        if line is not None and (under := _over_eps(row, f"attacked_accuracy.{norm}")) is not None
    }
    curves = {
        row.label: curve
        for row, line in lines
        if line is not None and (curve := _over_radii(row, norm)) is not None
    }
    title = "Certified accuracy over eps"
    draw_accuracy(path, certified, attacked, norm=norm, title=title, curves=curves)
    best = _best_by_eps(certified)
    joined = "joined to guide the eye"
    if curves:
        joined = "the curve through them from the radii of all points of the certificate" + (
            f"; {joined} where there is none" if len(curves) < len(certified) else ""
        )
    yield Picture(
        path,
        f"Filled markers: certified accuracy (proven), {joined}; bands: least to "
        f"most over seeds. Hollow markers: accuracy under attack (empirical), which no "
        f"certificate of the same points can exceed. {best}{_hidden(rows)}",
    )


def _over_radii(row: Row, norm: str) -> Line | None:
    """The share of points certified at every radius, where a certificate says it of all runs."""
    radii = [run.radii.get(norm) for run in row.runs]
    known = [one for one in radii if one]
    if len(known) < len(radii):
        return None
    right = max(one[-1] for one in known) or 1.0
    grid = [right * index / _GRID for index in range(1, _GRID + 1)]
    shares = {
        eps: [1 - bisect_left(one, eps) / len(one) for one in known] for eps in [5e-324, *grid]
    }
    return _line(row.label, shares)


def _best_by_eps(lines: Sequence[Line]) -> str:
    """Who is best at the smallest and at the largest eps that all lines have."""
    if len(lines) < 2:
        return ""
    common = sorted(set.intersection(*(set(line.x) for line in lines)))
    if not common:
        return ""

    def leader(eps: float) -> Line:
        return max(lines, key=lambda line: line.mean[list(line.x).index(eps)])

    small, large = leader(common[0]), leader(common[-1])
    if small is large:
        return f"Highest at eps {common[0]:g} and at {common[-1]:g}: {small.label}."
    return f"Highest at eps {common[0]:g}: {small.label}; highest at {common[-1]:g}: {large.label}."


# --- bounds, bars, metrics --------------------------------------------------------------------


def _intervals(comparison: Comparison, path: Path) -> Iterator[Picture]:
    rows, columns = comparison.rows, comparison.columns
    lower, upper = (find_column(columns, f"{kind}_bound") for kind in ("lower", "upper"))
    if lower is None or upper is None:
        return
    rows = [row for row in rows if lower in row.figures and upper in row.figures]
    true = find_column(columns, "true")
    truth = [row.figures[true].mean if true and true in row.figures else None for row in rows]
    low, high = ([row.figures[c].mean for row in rows] for c in (lower, upper))
    draw_intervals(path, [row.label for row in rows], low, high, truth, "W1 lies between")
    widths = [b - a for a, b in zip(low, high, strict=True)]
    narrow = rows[widths.index(min(widths))].label
    yield Picture(
        path,
        f"Bounds of the distance from below ({lower[1]}) and above ({upper[1]}), means over "
        f"seeds, of {lower[2] or 'the samples'}. Narrowest: {narrow}, "
        f"{at_most(min(widths), 4)} wide.",
    )


def _bars(rows: Sequence[Row], path: Path, sort: Column) -> Iterator[Picture]:
    rows = [row for row in rows if sort in row.figures]
    if len(rows) < 2:
        return
    name, evidence, _ = sort
    labels, values = [row.label for row in rows], [row.figures[sort].values for row in rows]
    quantity, title = f"{name} ({evidence})", f"Runs by {name}"
    draw_bars(path, labels, values, quantity=quantity, title=title, percent=is_share(name))
    best = best_first(rows, sort)
    unit = "%" if is_share(name) else ""
    ends = [f"{shown(name, r.figures[sort].mean, evidence)}{unit}" for r in (best[0], best[-1])]
    yield Picture(
        path,
        f"Mean over seeds (bars) and every run (dots) of {name}: from {ends[0]} for "
        f"{best[0].label} to {ends[1]} for {best[-1].label}.",
    )


def _metrics(rows: Sequence[Row], path: Path, split: str) -> Iterator[Picture]:
    panels: dict[str, list[Line]] = {}
    for row in rows:
        for name, points in _logged(row, split).items():
            panels.setdefault(name, []).append(_line(row.label, points))
    panels = {name: lines for name, lines in panels.items() if any(len(x.x) > 1 for x in lines)}
    if not panels:
        return
    draw_metrics(path, panels, f"{split}: while training")
    yield Picture(
        path,
        f"Metrics of the split '{split}' over training steps (empirical): mean over seeds, with a "
        f"band from the least to the most.{_hidden(rows)}",
    )


def _logged(row: Row, split: str) -> dict[str, dict[float, list[float]]]:
    """Values by metric and step; steps that only some of the runs logged are left out."""
    found: dict[str, dict[float, list[float]]] = {}
    for run in row.runs:
        for line in run.log:
            if line.get("split") != split:
                continue
            for name, value in line.items():
                if name not in _NO_METRICS and "." not in name and is_figure(value):
                    found.setdefault(name, {}).setdefault(line["step"], []).append(value)
    for name, steps in found.items():
        whole = {s: v for s, v in sorted(steps.items()) if len(v) == len(row.runs)}
        found[name] = whole or dict(sorted(steps.items()))
    return found
