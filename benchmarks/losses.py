"""Losses beside each other: the same network, data, steps and time, judged on held-out digits.

    python benchmarks/losses.py [--epochs 4] [--eps 1.58] [--only LOSS ...] [overrides ...]

Trains 784-512x3-10 (MaxMin, `optimizer.rank=128`) on MNIST once a row, and prints accuracy and the
share certified at L2 --eps on the validation split: the test set is never looked at. Settings that
a paper publishes are for smaller radii; beside them stand those for the margin that --eps needs,
eps * sqrt(2). Set LIPSORT_DATA to a folder that holds MNIST.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console

from lipsort_cli.commands.train import build_task
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.typed import to_typed
from lipsort_cli.data import load
from lipsort_cli.training import engine

COMMON = ["data=mnist", "model.widths=[512,512,512]", "optimizer.rank=128", "device=cpu",
          "training.batch_size=512", "training.precision=float32"]  # fmt: skip


def rows(eps: float) -> list[list[str]]:
    """A loss and its settings a row."""
    need = f"{eps * math.sqrt(2):.3g}"
    return [
        ["certified_ramp", "margin=3", f"target={need}", "sharpness=0.42", "weight=2"],
        ["worst_class_hinge", "margin=3"],
        ["multi_margin", "margin=3"],
        ["hkr", "margin=3", "alpha=10"],
        ["cross_entropy", "temperature=4", f"margin={need}"],
        ["logit_annealing"],
        ["logit_annealing", "temperature=0.75", f"offset={need}", "focus=1"],
        ["emma", "temperature=1", f"margin={need}"],
        ["emma", "temperature=4", "margin=3"],
    ]


def main() -> None:
    """Print a Markdown table, row by row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--eps", type=float, default=1.58)
    parser.add_argument("--only", nargs="+", help="losses of these names")
    parser.add_argument("overrides", nargs="*", help="further overrides of lipsort train")
    options = parser.parse_args()
    out = Console(width=120, markup=False, highlight=False)
    out.print(f"| loss | settings | clean | certified at {options.eps:g} | processor seconds |")
    out.print("|---|---|---|---|---|")
    for loss, *settings in rows(options.eps):
        if options.only and loss not in options.only:
            continue
        with Composer("train") as composer:
            given = [f"loss={loss}", *(f"loss.{one}" for one in settings)]
            given += [f"training.epochs={options.epochs}", f"evaluation.eps=[{options.eps}]"]
            config = to_typed(composer.compose([*COMMON, *given, *options.overrides]), "train")
        task = build_task(config, load(config.data), torch.device("cpu"))
        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            engine.run(task, engine.Session(Path(folder), "train"))
        seconds = time.process_time() - began
        accuracy, certified = task.validate(task.dataset.validation).values()
        said = ", ".join(settings) or "as published"
        shares = f"{100 * accuracy:.1f} | {100 * certified:.1f}"
        out.print(f"| `{loss}` | {said} | {shares} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
