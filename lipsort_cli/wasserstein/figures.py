"""Pictures of an estimate: the potential, the bounds on the way, the critic on both samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.figures.style import COLOURS, bins, drawing, picture, segments
from lipsort_cli.norms import DUAL, NAMES, ORDER
from lipsort_cli.wasserstein.critic import critic_values
from lipsort_cli.wasserstein.sources import Measures
from lipsort_cli.wasserstein.synthetic import SyntheticSource
from lipsort_cli.wasserstein.training import CriticTask, input_gradients
from lipsort_cli.wasserstein.transport import costs, normalised

Array = NDArray[np.float64]
Evaluate = Callable[[NDArray[np.float32]], Array]
Weights = tuple[Array | None, Array | None]


@drawing
def draw_line(
    path: Path,
    x: Array,
    y: Array,
    critic: Evaluate,
    potential: Evaluate | None,
    title: str,
    weights: Weights = (None, None),
) -> None:
    """The potential over both densities, for points x [n, 1] and y [m, 1], weighted or not."""
    edges = bins(np.concatenate([x[:, 0], y[:, 0]]))
    width = edges[1] - edges[0]
    edges = np.concatenate([edges[0] - width * np.arange(9, 0, -1), edges,
                            edges[-1] + width * np.arange(1, 10)])  # fmt: skip
    grid = np.linspace(edges[0], edges[-1], 801, dtype=np.float32)[:, None]
    values = critic(grid)
    with picture(path) as (_, axes):
        density = axes.twinx()
        solid: dict[str, Any] = {"color": COLOURS[0], "alpha": 0.3}
        hatched: dict[str, Any] = {
            "histtype": "stepfilled", "facecolor": "none", "edgecolor": COLOURS[1], "hatch": "////"
        }  # fmt: skip
        for points, mass, name, look in zip((x, y), weights, "PQ", (solid, hatched), strict=True):
            density.hist(points[:, 0], edges, density=True, weights=mass, label=name, **look)
        density.set_ylabel("density")
        density.grid(False)
        axes.plot(grid[:, 0], values - values.mean(), color=COLOURS[2], label="critic")
        if potential is not None:
            best = potential(grid)
            best = best + np.median(values - values.mean() - best)
            axes.plot(grid[:, 0], best, "--", color="0.3", label="optimal potential")
        axes.set(xlabel="x", ylabel="f(x)", title=title)
        axes.set_zorder(density.get_zorder() + 1)
        axes.patch.set_visible(False)
        lines = [*axes.get_legend_handles_labels()[0], *density.get_legend_handles_labels()[0]]
        axes.legend(lines, [str(line.get_label()) for line in lines], loc="upper left")


@drawing
def draw_plane(
    path: Path,
    x: Array,
    y: Array,
    critic: Evaluate,
    gradient: Callable[[NDArray[np.float32]], Array],
    rays: tuple[Array, Array] | None,
    potential: Evaluate | None,
    title: str,
) -> None:
    """Contours of the critic over the plane, its gradients along the transport rays [k, 2].

    Beside it the optimal potential, where it is known, at the same levels.
    """
    both = np.concatenate([x, y])
    low, high = np.quantile(both, 0.001, axis=0), np.quantile(both, 0.999, axis=0)
    centre, half = (low + high) / 2, 0.62 * float((high - low).max() or 1.0)
    axis = np.linspace(-half, half, 161)
    grid = np.stack(np.meshgrid(centre[0] + axis, centre[1] + axis), axis=2)
    values = critic(grid.reshape(-1, 2).astype(np.float32)).reshape(161, 161)
    with picture(path, width=6.4 if potential is None else 8.4) as (figure, axes):
        plane = grid[..., 0], grid[..., 1]
        drawn = axes.contour(*plane, values, levels=24, cmap="viridis", linewidths=0.8)
        axes.clabel(drawn, drawn.levels[::4], fontsize=6)
        if potential is not None:
            best = potential(grid.reshape(-1, 2)).reshape(161, 161)
            best = best + np.median(critic(both.astype(np.float32)) - potential(both))
            axes.set_subplotspec(figure.add_gridspec(1, 2)[0])
            beside = figure.add_subplot(1, 2, 2, sharex=axes, sharey=axes, aspect="equal")
            beside.contour(*plane, best, drawn.levels, cmap="viridis", linewidths=0.8)
            beside.set(xlabel="x1", title="optimal potential")
        axes.scatter(x[:400, 0], x[:400, 1], s=6, color=COLOURS[0], alpha=0.6, label="P")
        axes.scatter(
            y[:400, 0], y[:400, 1], s=9, color=COLOURS[1], marker="^", alpha=0.6, label="Q"
        )
        if rays is not None:
            start, end = (ray[:60] for ray in rays)
            axes.plot(*segments(start, end), color="0.75", linewidth=0.6, zorder=0)
            middle = (start + end) / 2
            arrows = gradient(middle.astype(np.float32))
            axes.quiver(
                *middle.T,
                *arrows.T,
                angles="xy",
                scale_units="xy",
                scale=5 / half,  # a gradient of length 1 is a tenth of the picture
                color="0.2",
                width=0.003,
                label="gradient of f",
            )
        axes.set_aspect("equal")
        axes.set(xlabel="x1", ylabel="x2", title=title)
        axes.legend(loc="upper right", fontsize=7, frameon=True, framealpha=1)


@drawing
def draw_history(
    path: Path,
    history: list[tuple[int, float]],
    upper: float | None,
    truth: float | None,
    title: str,
) -> None:
    """Lower bound against steps, with the upper bound and the truth."""
    steps, values = zip(*history, strict=True)
    with picture(path) as (_, axes):
        # One look makes no line.
        marker = "o" if len(steps) == 1 else None
        axes.plot(steps, values, color=COLOURS[0], marker=marker, label="lower: critic (empirical)")
        if upper is not None:
            axes.axhline(upper, color=COLOURS[1], label="upper: exact transport (empirical)")
        if truth is not None:
            axes.axhline(truth, color="0.3", linestyle="--", label="true distance")
        axes.set(xlabel="training step", ylabel="W1 on the check sample", title=title)
        axes.legend()


@drawing
def draw_gradient_norms(path: Path, norms: Array, dual: str, title: str) -> None:
    """Histogram of the critic's gradient norms on transport rays: 1 where it is optimal."""
    with picture(path) as (_, axes):
        axes.hist(norms, bins(np.append(norms, [0, 1.05])), color=COLOURS[0])
        axes.axvline(1, color="0.3", linestyle="--", label="optimal: 1")
        axes.set(
            xlabel=f"{dual} norm of the gradient on transport rays",
            ylabel="points",
            title=f"{title}: mean {norms.mean():.4f}",
        )
        axes.legend(loc="upper left")


@drawing
def draw_values(
    path: Path, f_x: Array, f_y: Array, title: str, weights: Weights = (None, None)
) -> None:
    """Histograms of the critic on both samples: the distance of their means is its value.

    Of weighted samples both are weighted.
    """
    edges = bins(np.concatenate([f_x, f_y]))
    with picture(path) as (_, axes):
        # Filled and hatched, dashed and dotted: half-transparent colours look alike in grey.
        for values, mass, colour, name, hatch, line in (
            (f_x, weights[0], COLOURS[0], "P", None, "--"),
            (f_y, weights[1], COLOURS[1], "Q", "////", ":"),
        ):
            mean = float(np.average(values, weights=mass))
            axes.hist(
                values,
                edges,
                color=colour if hatch is None else "none",
                edgecolor=None if hatch is None else colour,
                hatch=hatch,
                histtype="stepfilled",
                weights=None if mass is None else mass * (len(mass) / mass.sum()),
                label=f"{name}: mean {mean:.4g}",
            )
            axes.axvline(mean, color="0.2", linestyle=line, linewidth=1.5)
        axes.set(
            xlabel="f (lines: means; their difference is the critic's value)",
            ylabel="points" + ("" if all(w is None for w in weights) else ", by their weights"),
            title=title,
        )
        axes.legend()


_RAYS = 500


def transport_rays(measures: Measures, norm: str) -> tuple[Array, Array]:
    """Start and end points [k, d] of an optimal coupling of at most 500 points a side."""
    import ot

    x, y = (np.asarray(rows[:_RAYS], dtype=np.float64) for rows in measures[:2])
    a, b = (
        normalised(None if w is None or not w[: len(r)].any() else w[: len(r)], len(r))
        for w, r in zip(measures[2:], (x, y), strict=True)
    )
    plan = ot.emd(a, b * (a.sum() / b.sum()), costs(x, y, norm))
    i, j = np.nonzero(plan > 1e-12)
    return x[i], y[j]


@drawing
def draw_all(folder: Path, task: CriticTask, title: str) -> None:
    """Draw every picture that fits the dimension into ``folder``."""
    source, norm = task.source, task.norm
    check = task.check

    def critic(points: NDArray[np.float32]) -> Array:
        return critic_values(task.network, points, task.device)

    def gradient(points: NDArray[np.float32]) -> Array:
        on_device = torch.from_numpy(points).to(task.device)
        return input_gradients(task.network, on_device).double().cpu().numpy()

    x, y = (np.asarray(rows, dtype=np.float64) for rows in check[:2])
    start, end = transport_rays(check, norm)
    weights = check.x_weights, check.y_weights

    def draw(name: str, function: Any, *arguments: Any, **options: Any) -> None:
        function(folder / f"{name}.png", *arguments, title, **options)

    potential = None
    if isinstance(source, SyntheticSource) and (source.dim == 1 or norm == "l2"):
        potential = source.pair.potential
    if source.dim == 1:
        draw("potential", draw_line, x, y, critic, potential, weights=weights)
    elif source.dim == 2:
        draw("potential", draw_plane, x, y, critic, gradient, (start, end), potential)
    if task.history and task.at.step:
        draw("bounds", draw_history, task.history, task.upper, source.truth)
    # Points well inside the rays: at their ends the gradient jumps.
    share = np.random.default_rng(0).uniform(0.1, 0.9, (len(start), 1))
    inside = start + share * (end - start)
    moved = np.linalg.norm(end - start, axis=1) > 1e-9
    if moved.any():
        name, order = NAMES[DUAL[norm]], ORDER[DUAL[norm]]
        slopes = gradient(inside[moved].astype(np.float32))
        norms = np.linalg.norm(slopes, order, axis=1)
        draw("gradient_norms", draw_gradient_norms, norms, name)
    found = critic(check.x[:]), critic(check.y[:])
    draw("critic_values", draw_values, *found, weights=weights)
