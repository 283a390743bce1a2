"""Pictures of the theory: how far ReLU bends, and a network through given points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lipsort_cli.console import plural
from lipsort_cli.figures.style import COLOURS, drawing, picture
from lipsort_cli.theory.lattice import errors, interpolate
from lipsort_cli.theory.relu import Bent

_STYLES = ("-", "--", "-.", ":")
_POINTS = [-4.0, -2.5, -1.0, 0.5, 1.5, 3.0, 4.0]
_VALUES = [0.5, -0.5, 0.75, 0.0, 0.75, -0.5, 0.25]


def draw_all(folder: Path, bends: dict[str, dict[int, Bent]]) -> None:
    """Draw every picture into ``folder``."""
    draw_bends(folder / "absolute_value.png", bends)
    draw_lattice(folder / "lattice.png")
    draw_universality(folder / "universality.png")


@drawing
def draw_universality(path: Path) -> None:
    """Sup-norm error of the lattice construction over the number of points, and its bound."""
    with picture(path, height=4.4) as (_, axes):
        for dim in (1, 2, 3):
            series = errors(dim)
            points = [one.points for one in series]
            colour, style = COLOURS[dim - 1], _STYLES[dim - 1]
            look = {"marker": "o", "color": colour, "label": plural(dim, "dimension")}
            axes.plot(points, [e.found for e in series], style, **look)
            axes.plot(points, [e.bound for e in series], style, color=colour, alpha=0.4)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="points that the network takes exactly",
            ylabel="largest error on the cube",
            title="Universality: the error falls with more points\n(faint: the bound, everywhere)",
        )
        axes.legend(fontsize=8)


@drawing
def draw_bends(path: Path, bends: dict[str, dict[int, Bent]]) -> None:
    """|x| as closely as trained ReLU networks of each depth follow its bend, and MaxMin."""
    grid = torch.linspace(-1, 1, 401)[:, None]
    with picture(path, height=4.4) as (_, axes):
        for number, (depth, bent) in enumerate(bends["relu"].items()):
            values = _centred(bent, grid)
            axes.plot(
                grid[:, 0],
                values,
                _STYLES[number % len(_STYLES)],
                color=COLOURS[1],
                alpha=0.5 + 0.5 * number / max(1, len(bends["relu"]) - 1),
                label=f"ReLU, {plural(depth, 'hidden layer')}: bend {bent.bend:.2f}",
            )
        (bent,) = list(bends["maxmin"].values())[:1]
        label = f"MaxMin, 1 hidden layer: bend {bent.bend:.2f}"
        axes.plot(grid[:, 0], _centred(bent, grid), color=COLOURS[0], linewidth=2.5, label=label)
        axes.plot(grid[:, 0], grid.abs()[:, 0], color="0.2", linewidth=0.8, label="|x|: bend 2")
        axes.set(
            xlabel="x",
            ylabel="f(x)",
            title="Orthonormal weights: ReLU cannot bend by 2, MaxMin can\n"
            "(bend: f(1) + f(-1) - 2 f(0), found by training)",
        )
        axes.legend(loc="upper center", fontsize=8)
        axes.set_ylim(-0.1, 1.75)


def _centred(bent: Bent, grid: torch.Tensor) -> np.ndarray:
    """f without the value and the slope at 0, which any network can add."""
    with torch.no_grad():
        values = bent.network(grid)[:, 0].double().numpy()
    line = np.interp(0.0, grid[:, 0].numpy(), values)
    slope = (values[-1] - values[0]) / 2
    return values - line - slope * grid[:, 0].double().numpy()


@drawing
def draw_lattice(path: Path) -> None:
    """A lattice network through points of the line, and the band that no 1-Lipschitz f leaves."""
    network = interpolate([[x] for x in _POINTS], _VALUES, "linf").network()
    grid = np.linspace(_POINTS[0] - 1, _POINTS[-1] + 1, 801)
    distances = np.abs(grid[:, None] - np.array(_POINTS))
    upper = (np.array(_VALUES) + distances).min(1)
    lower = (np.array(_VALUES) - distances).max(1)
    with torch.no_grad():
        values = network(torch.tensor(grid[:, None], dtype=torch.float32))[:, 0].numpy()
    with picture(path) as (_, axes):
        axes.fill_between(grid, lower, upper, color="0.88", label="where 1-Lipschitz f can be")
        axes.plot(grid, values, color=COLOURS[0], label="the lattice network (MaxMin)")
        axes.plot(_POINTS, _VALUES, "o", color=COLOURS[1], label="given values")
        axes.set(
            xlabel="x",
            ylabel="f(x)",
            title="A MaxMin network through given values, 1-Lipschitz by its weights",
        )
        axes.legend(loc="lower left", fontsize=8)
        axes.set_ylim(float(lower.min()) - 1.4, None)
