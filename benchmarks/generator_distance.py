"""How much of the distance between a generator and its data each kind of critic finds.

    python benchmarks/generator_distance.py RUN [RUN ...]

RUN: directories of `lipsort wgan`, such as one of MNIST and one of CIFAR-10 with critic=gp, as in
the paper (Anil, Lucas and Grosse, 2019, section 7.2.2). For each, MaxMin, GroupSort, FullSort and
ReLU critics of the presets `generator_distance` (dense) and `generator_distance_convolutional` are
trained with the same steps, batches and learning rates, each three times. What is compared is the
proven lower bound of W1 between samples that no critic was trained on; its mean over seeds, its
range, and its ratio to ReLU's. The reference is exact transport of the same samples.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from wasserstein import estimate

PRESETS = {
    "dense": "generator_distance",
    "convolutional": "generator_distance_convolutional",
}
ACTIVATIONS = ("relu", "maxmin", "groupsort", "fullsort")


def compare(run: str, preset: str, arguments: argparse.Namespace) -> None:
    """Print one table: a generator and a kind of critic."""
    columns = "{:11} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8} {:>8}"
    print(
        columns.format(
            "activation", "W1 >=", "worst", "best", "ratio", "conf. 0.95", "W1 <=", "train s"
        )
    )
    baseline = None
    for activation in ACTIVATIONS:
        runs: list[dict[str, Any]] = []
        for seed in range(arguments.seeds):
            # A preset that sweeps is one job here for each of its values.
            runs.append(
                estimate(
                    f"experiment={preset}",
                    "hydra.mode=RUN",
                    f"activation={activation}",
                    f"distribution.run={run}",
                    f"seed={seed}",
                    "device=cpu",
                    *([f"threads={arguments.threads}"] if arguments.threads else []),
                    *arguments.override,
                )
            )
        lower = [found["lower_bound"]["value"] for found in runs]
        mean = statistics.mean(lower)
        baseline = baseline or mean
        print(
            columns.format(
                activation,
                f"{mean:.4f}",
                f"{min(lower):.4f}",
                f"{max(lower):.4f}",
                f"{mean / baseline:.3f}",
                f"{statistics.mean(f['population_lower_bound']['value'] for f in runs):.4f}",
                f"{statistics.mean(f['upper_bound']['value'] for f in runs):.4f}",
                f"{statistics.mean(f['train_seconds'] for f in runs):.1f}",
            ),
            flush=True,
        )


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="+", help="directories of `lipsort wgan` runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--only", choices=PRESETS, help="one kind of critics")
    parser.add_argument(
        "--override", action="append", default=[], help="KEY=VALUE for every critic"
    )
    arguments = parser.parse_args()
    for run in arguments.run:
        for kind, preset in PRESETS.items():
            if arguments.only in (None, kind):
                print(f"\n{run}, {kind} critics, {arguments.seeds} seeds")
                compare(run, preset, arguments)


if __name__ == "__main__":
    main()
