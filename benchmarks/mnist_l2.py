"""The README's table and picture: MNIST, L2, GroupSort against ReLU, mean of several seeds.

    python benchmarks/mnist_l2.py [--experiment mnist_l2] [--seeds 0 1 2]
        [--activations maxmin relu] [--folder FOLDER]

Runs `lipsort train` with that preset for each activation and seed (those already in the folder
are kept, interrupted ones resumed), prints a Markdown table and draws certified accuracy against
radius with the published figures beside it. Set LIPSORT_DATA to a folder that holds MNIST.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from lipsort_cli.certificates.points import certify_points, load_network
from lipsort_cli.cli.launch import launch
from lipsort_cli.config.data import MnistData
from lipsort_cli.config.schema import find
from lipsort_cli.console import console
from lipsort_cli.data import load
from lipsort_cli.figures.style import COLOURS, picture
from lipsort_cli.files import read_json

NAMES = {"maxmin": "GroupSort (MaxMin)", "relu": "ReLU"}
PUBLISHED = {
    "GloRo, convolutional": 62.8,
    "BCOP-Large, convolutional": 56.66,
    "Anil et al., dense 1024x3 (Li et al. 2019)": 54.46,
}
"""Certified accuracy in percent at L2 1.58, deterministic, from the papers."""


def run_of(folder: Path, activation: str, seed: int, overrides: list[str]) -> Path:
    """The finished run of one activation and seed; trained now if it is not there."""
    run = folder / f"{activation}-{seed}"
    command = find("train")
    assert command is not None
    if (run / "run.json").exists():
        launch(command, [f"resume={run}"])
    else:
        launch(
            command,
            [*overrides, f"activation={activation}", f"seed={seed}", f"hydra.run.dir={run}"],
        )
    return run


def spread(values: list[float]) -> str:
    """Mean and, of several values, half their range, in percent."""
    mean = 100 * statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.2f}"
    return f"{mean:.2f} ± {50 * (max(values) - min(values)):.2f}"


def table(runs: dict[str, list[Path]]) -> None:
    """Print clean and certified accuracy and the time, a row an activation."""
    results = {name: [read_json(run / "results.json") for run in of] for name, of in runs.items()}
    grid = list(next(iter(results.values()))[0]["certified_accuracy"]["eps"])
    heads = ["activation", "clean", *(f"certified at {eps}" for eps in grid),
             f"attacked at {grid[-1]}", "minutes"]  # fmt: skip
    console.print("| " + " | ".join(heads) + " |")
    console.print("|---" * len(heads) + "|")
    for name, found in results.items():

        def column(key: str, eps: str, found: list[dict[str, Any]] = found) -> str:
            return spread([result[key]["eps"][eps] for result in found])

        cells = [NAMES.get(name, name), spread([r["clean_accuracy"] for r in found])]
        cells += [column("certified_accuracy", eps) for eps in grid]
        cells.append(column("attacked_accuracy", grid[-1]))
        cells.append(f"{statistics.mean(r['train_seconds'] for r in found) / 60:.1f}")
        console.print("| " + " | ".join(cells) + " |")


def draw(runs: dict[str, list[Path]], path: Path) -> None:
    """Certified accuracy over the radius: the mean over seeds, and the attack at each eps."""
    root = os.environ.get("LIPSORT_DATA", "data")
    test = load(MnistData(root=root)).test
    grid = np.linspace(0.01, 2.6, 260)
    with picture(path, width=7.0) as (_, axes):
        for place, (name, of) in enumerate(runs.items()):
            curves = []
            for run in of:
                points = certify_points(
                    load_network(run / "model.safetensors"),
                    test.inputs.numpy(),
                    test.labels.numpy(),
                    norm="l2",
                    arithmetic="binary32",
                )
                curves.append([100 * float((points.radii >= r).mean()) for r in grid])
            label = f"{NAMES.get(name, name)}, certified (proven)"
            style = ("-", "--")[place % 2]
            axes.plot(grid, np.mean(curves, 0), style, color=COLOURS[place], lw=2, label=label)
            attacked = [read_json(run / "results.json")["attacked_accuracy"]["eps"] for run in of]
            for number, eps in enumerate(attacked[0]):
                axes.plot(
                    [float(eps)],
                    [100 * statistics.mean(found[eps] for found in attacked)],
                    "s",
                    color=COLOURS[place],
                    markerfacecolor="white",
                    label=f"{NAMES.get(name, name)}, under attack (empirical)"
                    if not number
                    else None,
                )
        for (name, value), marker in zip(PUBLISHED.items(), "^vD", strict=True):
            axes.plot([1.58], [value], marker, color="black", ms=6, label=f"{name} (published)")
        axes.axvline(1.58, color="grey", lw=0.8, ls=":")
        axes.set(
            xlabel="L2 radius (pixels in [0, 1])",
            ylabel="accuracy (%)",
            title="MNIST test set, 10,000 images",
            xlim=(0, 2.6),
            ylim=(0, 101),
        )
        axes.legend(loc="lower left", fontsize=8)


def main() -> None:
    """Train what is missing, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiment", default="mnist_l2", help="a preset; default: mnist_l2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--activations", nargs="+", default=["maxmin", "relu"])
    parser.add_argument("--folder", type=Path, help="default: outputs/EXPERIMENT")
    parser.add_argument("--picture", type=Path, help="default: mnist_l2.png in the folder")
    parser.add_argument("overrides", nargs="*", help="further overrides of lipsort train")
    options = parser.parse_args()
    folder = options.folder or Path("outputs") / options.experiment
    overrides = [f"experiment={options.experiment}", *options.overrides]
    runs = {
        activation: [run_of(folder, activation, seed, overrides) for seed in options.seeds]
        for activation in options.activations
    }
    table(runs)
    target = options.picture or folder / "mnist_l2.png"
    draw(runs, target)
    console.print(f"Picture: {target}; runs: {folder}")


if __name__ == "__main__":
    main()
