"""How good generators become that were trained against each kind of critic for the same time.

    python benchmarks/gan_critics.py FOLDER [--seeds 3] [--seconds 500] [--critics groupsort gp]

Runs `lipsort wgan experiment=wgan_mnist` for every critic and seed, one after the other, seeds in
the outer loop, so that a machine whose speed drifts drifts for all; then prints each measure's mean
and standard deviation over the seeds. All generators are judged by one classifier: that of
`--classifier RUN`, or the first run's. Runs that FOLDER holds already are not repeated.

A generator trades recall for precision when its noise is made smaller: `--scales 1 0.95 0.9` shows
both, and sliced W1 and kernel distance, for noise of those standard deviations. That tells a better
generator from another choice on the same curve.
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
"""Settings of each critic that differ from the preset's: the best seen for groupsort, gp and clip
(clip's from before inputs were centred); relu and sn were not tuned."""


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


def trade(found: dict[str, list[Path]], judge: Path, scales: list[float], samples: int) -> None:
    """Print precision and recall, and two distances, of samples from noise of each scale."""
    import numpy as np
    import torch

    from lipsort_cli.config.compose import Composer
    from lipsort_cli.config.typed import to_typed
    from lipsort_cli.data import load
    from lipsort_cli.gan.evaluation.features import make_features
    from lipsort_cli.gan.evaluation.kernel import kernel_distance
    from lipsort_cli.gan.evaluation.manifolds import precision_recall
    from lipsort_cli.wasserstein.bounds import projected_distances
    from lipsort_cli.zoo.generators import load_generator

    with Composer("wgan") as composer:
        config = to_typed(composer.check(["experiment=wgan_mnist"], multirun=False), "wgan")
    dataset = load(config.data)
    features = make_features(dataset, str(judge), judge, torch.device("cpu"))
    order = torch.randperm(len(dataset.test), generator=torch.Generator().manual_seed(0))
    test = dataset.test.inputs[order[:samples]]
    reference = features.embed(test)
    columns = "{:12} {:>6}" + " {:>18}" * 4
    print(columns.format("critic", "noise", "precision", "recall", "sliced W1", "kernel distance"))
    for critic, runs in found.items():
        for scale in scales:
            rows = []
            for run in runs:
                generator = load_generator(run / "generator.safetensors")
                random = torch.Generator().manual_seed(0)
                noise = scale * torch.randn(samples, generator.latent, generator=random)
                with torch.no_grad():
                    points = torch.cat([generator(z) for z in noise.split(500)])
                embedded = features.embed(points)
                x, y = points.flatten(1).numpy(), test.flatten(1).numpy()
                sliced = projected_distances(x, y, 500, np.random.default_rng(0)).mean()
                near = precision_recall(embedded, reference)
                kernel = kernel_distance(embedded, reference).value
                rows.append((near.precision, near.recall, float(sliced), kernel))
            means = [spread(list(column)) for column in zip(*rows, strict=True)]
            print(columns.format(critic, scale, *means), flush=True)


def main() -> None:
    """Parse the command line, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the runs go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=500, help="of training, each run")
    parser.add_argument("--critics", nargs="+", choices=SETTINGS, default=["groupsort", "gp"])
    parser.add_argument("--override", action="append", default=[], help="KEY=VALUE for every run")
    parser.add_argument("--classifier", type=Path, help="run that judges; default: the first")
    parser.add_argument("--scales", nargs="+", type=float, default=[], help="of the noise")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    judge = (arguments.classifier or folder / f"{arguments.critics[0]}-0").resolve()
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
    if arguments.scales:
        runs = {c: [folder / f"{c}-{s}" for s in range(arguments.seeds)] for c in found}
        print()
        trade(runs, judge, arguments.scales, next(iter(found.values()))[0]["quality"]["samples"])


if __name__ == "__main__":
    main()
