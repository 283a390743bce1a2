"""``make demo``: a GroupSort classifier and its ReLU counterpart, trained, certified, compared.

Runs the very commands that it prints, in one process, on scikit-learn's 1,797 real 8x8 digits.
"""

from __future__ import annotations

import csv
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import find
from lipsort_cli.console import console, follow_up
from lipsort_cli.directed_text import share_down
from lipsort_cli.figures.style import COLOURS, drawing, picture
from lipsort_cli.files import read_json

NETWORKS = {"GroupSort (MaxMin)": "maxmin", "ReLU": "relu"}
"""Title and activation of what is compared; all else is the same."""


def main() -> None:
    """Train, certify, compare; say where everything is."""
    began = time.monotonic()
    folder = Path("outputs/demo") / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for activation in NETWORKS.values():
        run = folder / activation
        lipsort("train", "experiment=demo_digits", f"activation={activation}",
                f"hydra.run.dir={run}")  # fmt: skip
        lipsort("certify", str(run))
    compare(folder)
    picture = folder / "comparison.png"
    draw(picture, folder)
    console.print(f"\nAll of it took {time.monotonic() - began:.0f} seconds. Pictures:")
    for path in (picture, *sorted(folder.glob("*/figures/*.png"))):
        console.print(f"  {path}")
    follow_up(_program(), "verify", folder / "maxmin" / "certificate.json")


def _program() -> str | Path:
    """`lipsort` where the user's PATH has it, else the one beside this interpreter."""
    return "lipsort" if shutil.which("lipsort") else Path(sys.executable).with_name("lipsort")


def lipsort(name: str, *arguments: str) -> None:
    """Print a command line and run it."""
    command = find(name)
    assert command is not None
    console.print(f"\n$ lipsort {name} {' '.join(arguments)}", style="bold green")
    launch(command, list(arguments))


def compare(folder: Path) -> None:
    """Print both networks' figures side by side."""
    from rich.table import Table

    results: list[dict[str, Any]] = [
        read_json(folder / activation / "results.json") for activation in NETWORKS.values()
    ]
    table = Table(title="The same network and budget, two activations (360 test digits)")
    table.add_column("accuracy")
    for title in NETWORKS:
        table.add_column(title, justify="right")
    table.add_row("clean (empirical)", *(f"{r['clean_accuracy']:.2%}" for r in results))
    for eps in results[0]["certified_accuracy"]["eps"]:
        certified = (share_down(r["certified_accuracy"]["eps"][eps]) for r in results)
        table.add_row(f"certified at L2 {eps} (proven)", *certified)
    console.print()
    console.print(table)


@drawing
def draw(path: Path, folder: Path) -> None:
    """The share of test points with at least a certified radius, for both networks."""
    with picture(path) as (_, axes):
        for place, (title, activation) in enumerate(NETWORKS.items()):
            with (folder / activation / "points.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
            # A wrong prediction has radius 0 here: it counts among the points, never as certified.
            radii = sorted((float(row["certified_radius"]) for row in rows), reverse=True)
            certified = [radius for radius in radii if radius > 0]
            share = [100 * (index + 1) / len(rows) for index in range(len(certified))]
            axes.step(
                [*certified, 0.0],
                [*share, share[-1] if share else 0.0],
                ("-", "--")[place],
                where="pre",
                color=COLOURS[place],
                label=title,
            )
        axes.set(
            xlabel="L2 radius (pixels in [0, 1])",
            ylabel="certified accuracy (%, proven)",
            title="360 test digits: same network and budget, two activations",
            ylim=(0, 100),
        )
        axes.set_xlim(left=0)
        axes.legend()


if __name__ == "__main__":
    main()
