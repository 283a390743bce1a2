"""Seconds of training to a target: ours, deel-torchlip's layers, unrolled Bjorck, on the same data.

    python benchmarks/time_to_target.py mnist [--target 0.70] [--epochs 24] [--limit 600]
    python benchmarks/time_to_target.py cone [--target 0.99] [--steps 1500] [--limit 600]

`mnist`: 784-512x3-10, MaxMin, certified share at L2 1.58 of 3,000 training images that are held
out, where the margin over sqrt(2) exceeds it (the rows of the head are orthonormal). `cone`: a
point against the sphere around it in 128 dimensions, FullSort 128x2, share of the distance 1 on
fresh points. Every method has the same batches and a cosine of the same length, and ends at its
target, at the schedule's end, or after --limit seconds; looks are not on the clock. All in float32.
--cpu counts processor seconds. Set LIPSORT_DATA to a folder that holds MNIST.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from lipsort_cli.config.data import MnistData
from lipsort_cli.config.learning import AdamOptimizer, CosineSchedule, StiefelOptimizer
from lipsort_cli.data import load
from lipsort_cli.layers import MaxMin
from lipsort_cli.layers.activations import FullSort
from lipsort_cli.layers.constraints import Bjorck, Constraint, Orthonormal
from lipsort_cli.layers.margins import worst_margin
from lipsort_cli.optim import Rates, build_optimizer
from lipsort_cli.training.losses import certified_ramp
from lipsort_cli.zoo import build_mlp

EPS = 1.58


@dataclass
class Problem:
    """What is learned: sizes, losses of the steps of a run, and how far a network is."""

    sizes: list[int]
    activation: Callable[[], nn.Module]
    lr: float
    rank: int
    total: int
    look_every: int
    losses: Callable[[nn.Module], Iterator[Tensor]]
    judge: Callable[[nn.Module], float]


def mnist(epochs: int, batch: int = 512) -> Problem:
    """Digits, by the loss of `experiment=mnist_l2`."""
    data = load(MnistData(root=os.environ.get("LIPSORT_DATA", "data")))
    inputs, labels = data.train.inputs.flatten(1), data.train.labels
    held, truth = data.validation.inputs.flatten(1), data.validation.labels
    loss = partial(certified_ramp, margin=3.0, target=2.23, sharpness=0.42, weight=2.0)

    def losses(network: nn.Module) -> Iterator[Tensor]:
        random = torch.Generator().manual_seed(0)
        while True:
            for rows in torch.randperm(len(labels), generator=random).split(batch):
                yield loss(network(inputs[rows]), labels[rows])

    def judge(network: nn.Module) -> float:
        margins = worst_margin(network(held), truth)
        return int((margins > EPS * math.sqrt(2)).sum()) / len(truth)

    an_epoch = math.ceil(len(labels) / batch)
    sizes = [784, 512, 512, 512, 10]
    return Problem(sizes, MaxMin, 0.1, 128, epochs * an_epoch, an_epoch // 2, losses, judge)


def cone(steps: int, dim: int = 128, batch: int = 128) -> Problem:
    """A point at the origin against the unit sphere: potential -||x||."""
    random = torch.Generator().manual_seed(0)

    def sphere(count: int) -> Tensor:
        return nn.functional.normalize(torch.randn(count, dim, generator=random))

    def gap(network: nn.Module, count: int) -> Tensor:
        return (network(torch.zeros(1, dim)) - network(sphere(count)).mean()).sum()

    def losses(network: nn.Module) -> Iterator[Tensor]:
        while True:
            yield -gap(network, batch)

    sizes = [dim, 128, 128, 1]
    return Problem(
        sizes, FullSort, 0.1, 64, steps, 10, losses, lambda network: float(gap(network, 2000))
    )


def ours(problem: Problem, **options: Any) -> tuple[nn.Module, Any]:
    """Steepest descent on the Stiefel manifold."""
    network = _mlp(problem, Orthonormal)
    return network, build_optimizer(network, StiefelOptimizer(lr=problem.lr, **options))


def bjorck(problem: Problem) -> tuple[nn.Module, Any]:
    """The paper's way: 20 iterations in every pass, Adam."""
    network = _mlp(problem, lambda: Bjorck(order=1, iterations=20))
    return network, build_optimizer(network, AdamOptimizer())


def torchlip(problem: Problem) -> tuple[nn.Module, Any]:
    """Layers of deel-torchlip, Adam."""
    from deel.torchlip import SpectralLinear

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(problem.sizes[:-1]):
        layers += [SpectralLinear(inputs, outputs), problem.activation()]
    network = nn.Sequential(*layers, SpectralLinear(*problem.sizes[-2:]))
    return network, torch.optim.Adam(network.parameters(), lr=1e-3)


def _mlp(problem: Problem, constraint: Callable[[], Constraint]) -> nn.Module:
    torch.manual_seed(0)
    inputs, *widths, outputs = problem.sizes
    return build_mlp((inputs,), outputs, widths, problem.activation, constraint)


METHODS: dict[str, Callable[[Problem], tuple[nn.Module, Any]]] = {
    "ours, optimizer.rank": lambda problem: ours(problem, rank=problem.rank),
    "ours, all directions": ours,
    "deel-torchlip": torchlip,
    "20 unrolled Bjorck steps": bjorck,
}


def seconds_to(
    target: float, problem: Problem, method: str, limit: float, clock: Callable[[], float]
) -> dict[str, Any]:
    """Train until ``target`` is reached; seconds, steps and the best that was seen."""
    network, optimizer = METHODS[method](problem)
    rates = Rates(optimizer, CosineSchedule())
    losses = problem.losses(network)
    seconds, best, step = 0.0, -math.inf, 0
    while step < problem.total and seconds < limit and best < target:
        began = clock()
        network.train()
        rates.set((step + 0.5) / problem.total)
        optimizer.zero_grad(set_to_none=True)
        next(losses).backward()
        optimizer.step()
        seconds += clock() - began
        step += 1
        if step % problem.look_every == 0 or step == problem.total:
            with torch.no_grad():
                best = max(best, problem.judge(network.eval()))
    return {"method": method, "reached": best >= target, "seconds": seconds, "steps": step,
            "best": best, "milliseconds a step": 1e3 * seconds / step}  # fmt: skip


def main() -> None:
    """One line a method."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=["mnist", "cone"])
    parser.add_argument("--target", type=float, help="default: 0.70 of mnist, 0.99 of cone")
    parser.add_argument("--epochs", type=int, default=24, help="of mnist")
    parser.add_argument("--steps", type=int, default=1500, help="of cone")
    parser.add_argument("--limit", type=float, default=600, help="seconds a method")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="processor seconds, not the clock's")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu else time.perf_counter
    problem = mnist(options.epochs) if options.task == "mnist" else cone(options.steps)
    target = options.target or (0.70 if options.task == "mnist" else 0.99)
    found = []
    for method in options.only:
        figures = seconds_to(target, problem, method, options.limit, clock)
        found.append(figures)
        words = "reached" if figures["reached"] else "not reached"
        Console(width=120).print(
            f"{method}: {target:g} {words} in {figures['seconds']:.1f} s, {figures['steps']:,} "
            f"steps of {figures['milliseconds a step']:.1f} ms; best {figures['best']:.4f}"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
