"""What the pictures of an estimate are drawn from: points, transport rays, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.figures.style import drawing
from lipsort_cli.norms import DUAL, NAMES, ORDER
from lipsort_cli.wasserstein import figures
from lipsort_cli.wasserstein.critic import critic_values
from lipsort_cli.wasserstein.samplers import SyntheticSource
from lipsort_cli.wasserstein.sources import Measures
from lipsort_cli.wasserstein.training import CriticTask, input_gradients
from lipsort_cli.wasserstein.transport import costs, normalised

Array = NDArray[np.float64]

_RAYS = 500


def transport_rays(measures: Measures, norm: str, count: int = _RAYS) -> tuple[Array, Array]:
    """Start and end points [k, d] of an optimal coupling of (at most ``count``) points a side."""
    import ot

    x, y = (np.asarray(rows[:count], dtype=np.float64) for rows in measures[:2])
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
        slopes: Array = input_gradients(task.network, on_device).double().cpu().numpy()
        return slopes

    x, y = (np.asarray(rows, dtype=np.float64) for rows in check[:2])
    start, end = transport_rays(check, norm)

    def draw(name: str, function: Any, *arguments: Any) -> None:
        function(folder / f"{name}.png", *arguments, title)

    potential = None
    if isinstance(source, SyntheticSource) and (source.dim == 1 or norm == "l2"):
        potential = source.pair.potential
    if source.dim == 1:
        draw("potential", figures.draw_line, x, y, critic, potential)
    elif source.dim == 2:
        draw("potential", figures.draw_plane, x, y, critic, gradient, (start, end), potential)
    if task.history and task.at.step:
        draw("bounds", figures.draw_history, task.history, task.upper, source.truth)
    # Points well inside the rays: at their ends the gradient jumps.
    share = np.random.default_rng(0).uniform(0.1, 0.9, (len(start), 1))
    inside = start + share * (end - start)
    moved = np.linalg.norm(end - start, axis=1) > 1e-9
    if moved.any():
        name, order = NAMES[DUAL[norm]], ORDER[DUAL[norm]]
        slopes = gradient(inside[moved].astype(np.float32))
        norms = np.linalg.norm(slopes, order, axis=1)
        draw("gradient_norms", figures.draw_gradient_norms, norms, name)
    draw("critic_values", figures.draw_values, critic(check.x[:]), critic(check.y[:]))
