"""Kills runs at random moments, goes on with them, and compares the end with an unbroken run.

    python benchmarks/kills.py [--kills 60] [--seed 0] [--task NAME ...]

Four tasks: a classifier, a critic, a GAN, and the classifier that judges a GAN. A run is killed
(SIGKILL) up to four times, at moments drawn uniformly over the time that a whole run takes, and
resumed each time; then weights, log and results must be, bit for bit, those of a run that nobody
touched. Exit code 1 where one is not.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COMMON = ["threads=1", "device=cpu", "training.checkpoint_seconds=0"]
GAN = ["generator.widths=[16]", "critic.widths=[16]", "training.batch_size=16", "training.frames=2",
       "evaluation.transport_points=0", "evaluation.critic_steps=5"]  # fmt: skip
TASKS: dict[str, list[str]] = {
    # Dropout draws from torch's own generator; augmentation and order from seeds of their own.
    "classifier": ["train", "model.widths=[32,32]", "model.dropout=0.2", "augmentation.shift=1",
                   "training.epochs=15", "training.batch_size=64", "training.log_every=7",
                   "evaluation.attack.points=20"],
    "critic": ["estimate-wasserstein", "model.widths=[32,32]", "training.steps=300",
               "training.check_every=20", "training.check_points=100", "training.patience=0",
               "evaluation.points=100", "evaluation.confidence_points=100"],
    # Points of the plane need no classifier: all of its time is the training of the two networks.
    "gan": ["wgan", *GAN, "data=toy", "data.points=500", "training.steps=150",
            "training.log_every=10"],
    "judge": ["wgan", *GAN, "training.steps=3", "training.log_every=1"],
}  # fmt: skip
MOST = 4
"""Kills of one run."""


def carry_out(words: list[str], folder: Path) -> None:
    """One command in a process of its own, quietly; what fails is in ``log.txt``."""
    from lipsort_cli.app import main

    os.chdir(folder)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["lipsort", *words]
    main()


def started(words: list[str], folder: Path) -> Any:
    """A child that carries it out: forked, so that torch is imported once."""
    process = multiprocessing.get_context("fork").Process(target=carry_out, args=(words, folder))
    process.start()
    return process


def whole(task: str, folder: Path) -> float:
    """Run a task to its end, from wherever it stands; the seconds that it took."""
    began = time.monotonic()
    process = started(command(task, folder), folder)
    process.join()
    if process.exitcode:
        raise SystemExit(
            f"{task}: exit code {process.exitcode}\n{(folder / 'log.txt').read_text()}"
        )
    return time.monotonic() - began


def command(task: str, folder: Path) -> list[str]:
    """What starts the task's run in ``folder``, or goes on with the one that is there."""
    name, *given = TASKS[task]
    if (folder / "run" / "run.json").exists():
        return [name, "resume=run"]
    return [name, *given, *COMMON, "hydra.run.dir=run"]


def killed(task: str, folder: Path, seconds: float) -> bool:
    """Start or go on, and kill after ``seconds``; whether it still ran then."""
    process = started(command(task, folder), folder)
    process.join(seconds)
    if process.exitcode is not None:
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return True


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run leaves and that must not depend on interruptions."""
    run = folder / "run"
    found: dict[str, Any] = {
        str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*.safetensors")
    }
    found |= {str(p.relative_to(run)): p.read_text() for p in run.rglob("metrics.jsonl")}
    results = json.loads((run / "results.json").read_text())
    return {**found, "results": {k: v for k, v in results.items() if "seconds" not in k}}


def measure(task: str, kills: int, chance: random.Random, folder: Path) -> tuple[int, int]:
    """Kill runs of a task so many times; how many runs there were, and how many differ."""
    reference = folder / "whole"
    reference.mkdir()
    seconds = whole(task, reference)
    expected = outcome(reference)
    runs = differing = 0
    while kills > 0:
        part = folder / str(runs)
        part.mkdir()
        count = 0
        while count < min(MOST, kills) and killed(task, part, chance.uniform(0, seconds)):
            count += 1
        kills -= count
        whole(task, part)
        found = outcome(part)
        wrong = sorted(k for k in expected | found if expected.get(k) != found.get(k))
        runs, differing = runs + 1, differing + bool(wrong)
        print(f"{task}: {count} kills, " + (f"differs in {', '.join(wrong)}" if wrong else "equal"))
        shutil.rmtree(part)
    return runs, differing


def warm() -> None:
    """Load whatever runs load, once, before anything is forked."""
    import torch

    from lipsort_cli import console
    from lipsort_cli.cli.launch import launch
    from lipsort_cli.config.schema import find

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        console.console.quiet = True
        for task, shortest in (("classifier", "training.epochs=1"), ("critic", "training.steps=1")):
            name, *given = TASKS[task]
            entry = find(name)
            assert entry is not None
            launch(entry, [*given, *COMMON, shortest, f"hydra.run.dir={folder}/{task}"])
        console.console.quiet = False


def main(arguments: list[str] | None = None) -> int:
    """Kill runs of each task; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", nargs="*", choices=TASKS, default=list(TASKS))
    options = parser.parse_args(arguments)
    warm()
    chance, bad = random.Random(options.seed), 0
    for number, task in enumerate(options.task):
        share = (options.kills + number) // len(options.task)
        with tempfile.TemporaryDirectory() as folder:
            runs, differing = measure(task, share, chance, Path(folder))
        print(f"{task}: {share} kills of {runs} runs; {differing} differ from an unbroken run")
        bad += differing
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
