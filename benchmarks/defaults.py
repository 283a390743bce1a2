"""What a user types first against the preset for the same data: the figure, and the seconds.

    python benchmarks/defaults.py [--only TEXT ...] [--folder FOLDER]

Runs each bare command and its preset (finished runs in the folder are kept) and prints a Markdown
table: the figure of each, the share that the bare command reaches, and seconds of training. Set
LIPSORT_DATA to a folder that holds MNIST and CIFAR-10. All of it takes hours; --only takes rows
whose preset contains one of the texts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import find
from lipsort_cli.console import console
from lipsort_cli.files import read_json
from lipsort_cli.gan.evaluation.measures import GENERATED

LOWER = ("lower_bound", "value")
PRECISION = ("quality", "measures", "precision", GENERATED, "value")
ROWS: list[tuple[str, list[str], str, Sequence[str]]] = [
    ("estimate-wasserstein", ["distribution=absolute_value"], "wasserstein_absolute_value", LOWER),
    ("estimate-wasserstein", ["distribution=three_cones"], "wasserstein_three_cones", LOWER),
    ("estimate-wasserstein", ["distribution=translated_cloud"], "wasserstein_translated", LOWER),
    ("estimate-wasserstein", ["distribution=cone"], "wasserstein_cone_128", LOWER),
    (
        "estimate-wasserstein",
        ["distribution=cone", "distribution.dim=512"],
        "wasserstein_cone_512",
        LOWER,
    ),
    (
        "estimate-wasserstein",
        ["distribution=dataset", "distribution.rows=5000", "evaluation.holdout=0"],
        "wasserstein_mnist_3_8",
        LOWER,
    ),
    ("train", ["evaluation.eps=[0.5]"], "demo_digits", ("certified_accuracy", "eps", "0.5")),
    (
        "train",
        ["data=mnist", "evaluation.eps=[1.58]"],
        "mnist_l2",
        ("certified_accuracy", "eps", "1.58"),
    ),
    (
        "train",
        ["data=cifar10", "evaluation.eps=[0.1412]"],
        "cifar10_l2",
        ("certified_accuracy", "eps", "0.1412"),
    ),
    ("wgan", [], "wgan_digits", PRECISION),
    ("wgan", ["data=mnist"], "wgan_mnist", PRECISION),
]
"""Command, what a user types, the preset, and where its figure stands in results.json."""


def result(folder: Path, command: str, name: str, overrides: list[str]) -> dict[str, Any]:
    """Of the run ``name``, trained now if it is not there."""
    run = folder / name
    if not (run / "results.json").exists():
        found = find(command)
        assert found is not None
        again = (run / "run.json").exists()
        launch(found, [f"resume={run}"] if again else [*overrides, f"hydra.run.dir={run}"])
    return read_json(run / "results.json")


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("outputs/defaults"))
    parser.add_argument("--only", nargs="+", default=[""])
    options = parser.parse_args()
    lines = ["| command | bare | preset | share | seconds, bare | seconds, preset |"]
    lines.append("|---" * 6 + "|")
    for command, bare, preset, place in ROWS:
        if not any(text in preset for text in options.only):
            continue
        figures, seconds = [], []
        # The preset is evaluated as its own file says, but where the figure depends on it.
        for name, given in ((f"bare-{preset}", bare), (preset, [f"experiment={preset}"])):
            found: Any = result(options.folder, command, name, given)
            seconds.append(f"{found['train_seconds']:.0f}")
            for key in place:
                found = found[key]
            figures.append(float(found))
        shown = " | ".join(f"{figure:.4g}" for figure in figures)
        share = f"{figures[0] / figures[1]:.3f}"
        typed = " ".join(["lipsort", command, *bare])
        lines.append(f"| `{typed}` | {shown} ({preset}) | {share} | {' | '.join(seconds)} |")
    console.print("\n".join(lines), markup=False)


if __name__ == "__main__":
    main()
