"""The pictures of an inspection: which are drawn of which networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lipsort_cli.figures.comparison import Line, draw_metrics
from lipsort_cli.figures.inspection import (
    draw_activity,
    draw_gradients,
    draw_layer_values,
    draw_over_depth,
)
from lipsort_cli.inspection.measure import Measured, is_image

Log = Sequence[Mapping[str, Any]]
_DRAWN = ("jacobian_", "gradient_kept", "active_units", "gradient_norm.0")
"""How the keys of a log begin whose values are drawn."""


def _over_depth(sigma: Sequence[Any]) -> list[Any]:
    """Mean, least and largest singular value at every depth, mean over points."""
    columns = (slice(None), -1, 0)
    return [np.array([values[:, column].mean() for values in sigma]) for column in columns]


def _active(networks: Mapping[str, Measured]) -> dict[str, list[Any]]:
    """Share of active units by layer, and whether it stays linear, of networks that have any."""
    return {
        name: [(one.share, one.linear) for one in measured.activities]
        for name, measured in networks.items()
        if measured.activities
    }


def draw_all(
    folder: Path, networks: Mapping[str, Measured], logs: Mapping[str, Log], captions: Sequence[str]
) -> list[str]:
    """Draw every picture that the networks allow into ``folder``; their names.

    ``logs``: lines of diagnostics that were logged while training, by network; ``captions``: one
    for each point whose input gradients are drawn.
    """
    drawn: list[str] = []

    def draw(name: str, function: Callable[..., bool], *arguments: Any, **options: Any) -> None:
        if function(folder / f"{name}.png", *arguments, **options):
            drawn.append(f"{name}.png")

    points = len(next(iter(networks.values())).inputs)
    with_layers = {n: [s.values for s in m.layers] for n, m in networks.items() if m.layers}
    if with_layers:
        title = "Singular values of the layers (1: norm is kept)"
        draw("layer_singular_values", draw_layer_values, with_layers, title)
    ticks = _ticks([measured.depths for measured in networks.values()])
    draw(
        "jacobian_singular_values",
        draw_over_depth,
        {name: _over_depth(measured.sigma) for name, measured in networks.items()},
        quantity="singular values",
        title=f"Jacobian of the outputs, mean over {points} points; band: least to largest",
        ticks=ticks,
    )
    draw(
        "gradient_norms",
        draw_over_depth,
        {
            name: (measured.norms.mean(0), measured.norms.min(0), measured.norms.max(0))
            for name, measured in networks.items()
        },
        quantity="norm of the margin's gradient",
        title=f"Back-propagated gradient; level: preserved; band: {points} points",
        ticks=ticks,
    )
    if active := _active(networks):
        kinds = {one.measure for measured in networks.values() for one in measured.activities}
        what = kinds.pop() if len(kinds) == 1 else "units active or swapped"
        draw("activations", draw_activity, active, f"Share of {what}")
    shapes = {measured.inputs.shape[1:] for measured in networks.values()}
    if len(shapes) == 1 and all(is_image(measured.inputs) for measured in networks.values()):
        draw(
            "input_gradients",
            draw_gradients,
            next(iter(networks.values())).inputs[: len(captions)],
            {name: measured.gradients[: len(captions)] for name, measured in networks.items()},
            captions=captions,
            title="Gradient of the margin by pixel (grey: 0; light raises, dark lowers it)",
        )
    panels = _panels(logs)
    if panels:
        draw("over_training", draw_metrics, panels, "Diagnostics while training")
    return drawn


def _ticks(depths: Sequence[Sequence[str]]) -> list[str] | None:
    """A name for each depth, of all networks; None where they differ in number."""
    if len({len(names) for names in depths}) > 1:
        return None
    return ["/".join(dict.fromkeys(names)) for names in zip(*depths, strict=True)]


def _panels(logs: Mapping[str, Log]) -> dict[str, list[Line]]:
    panels: dict[str, list[Line]] = {}
    for name, log in logs.items():
        for key in log[0] if log else ():
            if not key.startswith(_DRAWN):
                continue
            lines = [line for line in log if isinstance(line.get(key), int | float)]
            values = [float(line[key]) for line in lines]
            if len(values) > 1:
                steps = [float(line["step"]) for line in lines]
                title = key.replace(".", " ")
                panels.setdefault(title, []).append(Line(name, steps, values, values, values))
    return panels
