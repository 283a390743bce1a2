"""MNIST, L-infinity: GroupSort, distances, weighted order statistics; mean of several seeds.

    python benchmarks/mnist_linf.py [--seeds 0 1 2] [--presets mnist_linf mnist_linf_order]
                                    [--folder FOLDER] [KEY=VALUE ...]

Runs `lipsort train experiment=PRESET` for each preset and seed (those already in the folder are
kept, interrupted ones resumed), certifies each again in real arithmetic, and prints a Markdown
table: accuracy, certified accuracy (proven, binary32) at each radius, what counting rounding costs
at most, and the time. Set LIPSORT_DATA to a folder that holds MNIST.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

import numpy as np

from lipsort_cli.certificates.points import certify_points, load_network
from lipsort_cli.cli.launch import launch
from lipsort_cli.config.data import MnistData
from lipsort_cli.config.schema import find
from lipsort_cli.console import console
from lipsort_cli.data import load
from lipsort_cli.files import read_json

NAMES = {
    "mnist_linf": "GroupSort, rows of absolute sum 1",
    "mnist_linf_distance": "L-infinity distances",
    "mnist_linf_order": "weighted order statistics",
    "mnist_linf_order_members": "votes of three",
}
RADII = ("0.1", "0.2", "0.3")


def run_of(folder: Path, preset: str, seed: int, overrides: list[str]) -> Path:
    """The finished run of one preset and seed; trained now if it is not there."""
    run = folder / f"{preset}-{seed}"
    command = find("train")
    assert command is not None
    if (run / "run.json").exists():
        launch(command, [f"resume={run}"])
    else:
        launch(
            command,
            [f"experiment={preset}", f"seed={seed}", f"hydra.run.dir={run}", *overrides],
        )
    return run


def rounding_cost(run: Path) -> float:
    """Certified accuracy lost to counting binary32's rounding, in percent: worst of all radii."""
    test = load(MnistData(root=os.environ.get("LIPSORT_DATA", "data"))).test
    radii = [
        certify_points(
            load_network(run / "model.safetensors"),
            test.inputs.numpy(),
            test.labels.numpy(),
            norm="linf",
            arithmetic=arithmetic,
        ).radii
        for arithmetic in ("real", "binary32")
    ]
    real, rounded = (np.sort(found) for found in radii)
    # Between two values of either kind the counts do not change.
    places = np.concatenate([real, rounded])
    places = places[places > 0]
    lost = np.searchsorted(rounded, places) - np.searchsorted(real, places)
    return 100 * float(lost.max(initial=0)) / len(real)


def spread(values: list[float]) -> str:
    """Mean and, of several values, half their range."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.2f}"
    return f"{mean:.2f} ± {(max(values) - min(values)) / 2:.2f}"


def row(preset: str, runs: list[Path]) -> str:
    """One line of the table: percent, and minutes."""
    results = [read_json(run / "results.json") for run in runs]
    cells = [NAMES[preset], spread([100 * found["clean_accuracy"] for found in results])]
    for eps in RADII:
        values = [found["certified_accuracy"]["eps"][eps] for found in results]
        cells.append(spread([100 * value for value in values]))
    cells.append(spread([rounding_cost(run) for run in runs]))
    cells.append(f"{statistics.mean(found['train_seconds'] for found in results) / 60:.1f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--presets", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--folder", type=Path, default=Path("outputs/mnist_linf"))
    parser.add_argument("overrides", nargs="*", help="further overrides of lipsort train")
    options = parser.parse_args()
    heads = ["network", "clean", *(f"certified at {eps}" for eps in RADII),
             "lost to rounding, at most", "minutes"]  # fmt: skip
    rows = []
    for preset in options.presets:
        runs = [run_of(options.folder, preset, seed, options.overrides) for seed in options.seeds]
        rows.append(row(preset, runs))
    console.print("| " + " | ".join(heads) + " |")
    console.print("|---" * len(heads) + "|")
    for line in rows:
        console.print(line)
    console.print(f"Runs: {options.folder}")


if __name__ == "__main__":
    main()
