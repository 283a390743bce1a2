"""How good generators become that were trained against each kind of critic for the same time.

    python benchmarks/gan_critics.py FOLDER [--seeds 3] [--seconds 500] [--critics groupsort gp]

Runs `lipsort wgan experiment=wgan_mnist` for every critic and seed, one after the other, seeds in
the outer loop, so that a machine whose speed drifts drifts for all; then prints each measure's mean
and standard deviation over the seeds. All generators are judged by the first run's classifier.
Runs that FOLDER holds already are not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

SETTINGS = {
    "groupsort": [],  # the preset's
    "relu": [],
    "gp": ["critic.widths=[256,256,256]", "critic.lr=0.0004", "generator.lr=0.001"],
    "clip": [
        "critic.widths=[256,256,256]",
        "critic.steps=2",
        "critic.lr=0.0002",
        "generator.lr=0.001",
    ],
    "sn": ["critic.widths=[256,256,256]", "critic.lr=0.0004", "generator.lr=0.001"],
}
"""The best settings seen for each critic, as far as they differ from the preset's."""


def results(directory: Path, judge: Path, critic: str, seed: int, extra: list[str]) -> Any:
    """What a run found; the run is made where the directory has none."""
    path = directory / "results.json"
    if not path.exists():
        command = [
            *(sys.executable, "-m", "lipsort_cli", "wgan", "experiment=wgan_mnist"),
            *(f"critic={critic}", f"seed={seed}", f"hydra.run.dir={directory}"),
            *([] if judge == directory else [f"evaluation.classifier={judge}"]),
            *(*SETTINGS[critic], *extra),
        ]
        subprocess.run(command, check=True)
    return json.loads(path.read_text())


def spread(values: list[float]) -> str:
    """Mean +- standard deviation."""
    mean = statistics.mean(values)
    digits = 0 if mean > 100 else 3 if mean > 0.1 else 4
    text = f"{mean:,.{digits}f}"
    return text if len(values) < 2 else f"{text} +- {statistics.stdev(values):,.{digits}f}"


def main() -> None:
    """Parse the command line, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the runs go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=500, help="of training, each run")
    parser.add_argument("--critics", nargs="+", choices=SETTINGS, default=["groupsort", "gp"])
    parser.add_argument("--override", action="append", default=[], help="KEY=VALUE for every run")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    judge = folder / f"{arguments.critics[0]}-0"
    extra = [f"training.seconds={arguments.seconds}", *arguments.override]
    found: dict[str, list[Any]] = {critic: [] for critic in arguments.critics}
    for seed in range(arguments.seeds):
        for critic, runs in found.items():
            runs.append(results(folder / f"{critic}-{seed}", judge, critic, seed, extra))
    columns = "{:30}" + " {:>18}" * (len(found) + 1)
    print(columns.format("measure", *found, "data"))
    steps = [spread([run["steps"] for run in runs]) for runs in found.values()]
    print(columns.format("generator steps", *steps, ""))
    every = [run["quality"]["measures"] for runs in found.values() for run in runs]
    for name, about in every[0].items():
        values = [
            spread([run["quality"]["measures"][name]["generated"]["value"] for run in runs])
            for runs in found.values()
        ]
        data = spread([measures[name]["data"]["value"] for measures in every])
        better = f" ({about['better']})" if about["better"] else ""
        print(columns.format(about["title"] + better, *values, data))


if __name__ == "__main__":
    main()
