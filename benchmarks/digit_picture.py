"""The picture at the head of README: a digit, what it takes to change the answer, and the proof.

    python benchmarks/digit_picture.py RUN [--radius 1.58] [--out docs/digit.png]

RUN is a finished run of `lipsort train data=mnist`; what is shown is of `lipsort train
experiment=mnist_l2 training.epochs=5`. Of the first 500 test points it takes the one
whose certified
radius lies nearest above ``--radius``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.certificates.points import certify_points, load_network
from lipsort_cli.console import console
from lipsort_cli.figures.style import COLOURS, picture
from lipsort_cli.trained import open_run

POINTS = 500


def main() -> None:
    """Certify, attack the one point, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--radius", type=float, default=1.58)
    parser.add_argument("--out", type=Path, default=Path("docs/digit.png"))
    asked = parser.parse_args()
    run = open_run(asked.run, POINTS)
    network = load_network(run.network)
    points = certify_points(network, run.inputs, run.labels, norm="l2", arithmetic="binary32")
    above = np.where(points.radii >= asked.radius, points.radii, np.inf)
    chosen = slice(int(above.argmin()), int(above.argmin()) + 1)
    if not np.isfinite(above[chosen]).all():
        parser.error(f"no point of {asked.run} has a radius of {asked.radius}")
    campaign = Campaign(network, norm="l2", arithmetic="binary32", bounds=run.bounds)
    findings = campaign.run(
        ["pgd", "deepfool", "edge_search"],
        run.inputs[chosen],
        run.labels[chosen],
        points.radii[chosen],
        [],
        lambda done: None,
    )
    with torch.no_grad():
        best = campaign.module(findings.witness)[0].topk(2).indices.tolist()
    label = int(run.labels[chosen][0])
    other = next(digit for digit in best if digit != label)  # at the edge both scores are equal
    radius, nearest = float(points.radii[chosen][0]), float(findings.nearest[0])
    draw(asked.out, run.inputs[chosen], findings.witness, label, other,
         radius, nearest)  # fmt: skip
    console.print(f"{asked.out}: proven {radius:.4f}, nearest found {nearest:.4f}")


def draw(
    path: Path,
    before: np.ndarray,
    after: torch.Tensor,
    label: int,
    other: int,
    radius: float,
    nearest: float,
) -> None:
    """The digit, the nearest one found that is answered otherwise, and both distances on a line."""
    with picture(path, width=7.2, height=2.9) as (figure, axes):
        axes.remove()
        grid = figure.add_gridspec(2, 3, height_ratios=[5, 1.4])
        change = after.numpy().reshape(28, 28) - before.reshape(28, 28)
        shown = (
            (before.reshape(28, 28), f'"{label}"', "gray_r", 0.0, 1.0),
            (change, f"the smallest change found: {nearest:.2f}", "RdBu_r", -0.5, 0.5),
            (after.numpy().reshape(28, 28), f'"{other}"', "gray_r", 0.0, 1.0),
        )
        for column, (image, title, colours, low, high) in enumerate(shown):
            panel = figure.add_subplot(grid[0, column])
            panel.imshow(image, cmap=colours, vmin=low, vmax=high)
            panel.set_title(title, fontsize=10)
            panel.set_axis_off()
        line = figure.add_subplot(grid[1, :])
        line.barh([0], [radius], color=COLOURS[0], height=0.6)
        line.plot([nearest], [0], marker="x", color="black", markersize=8, mew=2)
        line.set_xlim(0, nearest * 1.35)
        line.set_yticks([])
        line.set_xlabel("size of the change (L2)")
        line.text(radius / 2, 0, f"proven: the answer stays {label}", va="center", ha="center",
                  color="white", fontsize=9)  # fmt: skip
        line.text(nearest * 1.03, 0, "first failure found", va="center", fontsize=9)
        for side in ("top", "right", "left"):
            line.spines[side].set_visible(False)


if __name__ == "__main__":
    main()
