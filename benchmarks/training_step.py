"""Times one training step of an MLP 784-1024x3-10, each method beside the others in one process.

    python benchmarks/training_step.py [--batch 128 512] [--rounds 15] [--threads 2]

Methods take turns, round after round, so that a machine whose speed drifts drifts for all of them;
the ratio of a method is the median over rounds of its time over that of plain ReLU in the same
round. Needs the development extra for deel-torchlip; without it that row is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from lipsort_cli.config.learning import AdamOptimizer, StiefelOptimizer
from lipsort_cli.layers import MaxMin
from lipsort_cli.layers.constraints import Bjorck, Orthonormal, Unconstrained
from lipsort_cli.optim import build_optimizer
from lipsort_cli.optim.polar import fast_dtype
from lipsort_cli.training.losses import worst_class_hinge
from lipsort_cli.zoo import build_mlp

Step = Callable[[torch.Tensor, torch.Tensor], None]
WIDTHS = [1024, 1024, 1024]
PLAIN = "plain ReLU, Adam"


def make_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, dtype: torch.dtype = torch.float32
) -> Step:
    """Forward, backward and update, as `lipsort train` does them."""
    loss = worst_class_hinge(3.0)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            logits = network(x)
        optimizer.zero_grad(set_to_none=True)
        loss(logits.float(), y).backward()
        optimizer.step()

    network.train()
    return step


def methods(torchlip: bool) -> Iterator[tuple[str, Step]]:
    """Every method, freshly built; all but the last start from the same widths and loss."""

    def mlp(activation: Callable[[], nn.Module], constraint: Callable[[], nn.Module]) -> nn.Module:
        torch.manual_seed(0)
        return build_mlp((784,), 10, WIDTHS, activation, constraint)  # type: ignore[arg-type]

    def stiefel(update_dtype: torch.dtype, dtype: torch.dtype, interval: int = 1) -> Step:
        network = mlp(MaxMin, Orthonormal)
        optimizer = build_optimizer(network, StiefelOptimizer(interval=interval))
        return with_update_dtype(make_step(network, optimizer, dtype), update_dtype)

    fast = fast_dtype("cpu")
    network = mlp(nn.ReLU, Unconstrained)
    yield PLAIN, make_step(network, torch.optim.Adam(network.parameters()))
    network = mlp(MaxMin, Unconstrained)
    yield "plain MaxMin, Adam", make_step(network, torch.optim.Adam(network.parameters()))
    yield "orthonormal MaxMin, Stiefel, all float32", stiefel(torch.float32, torch.float32)
    if fast != torch.float32:
        network = mlp(nn.ReLU, Unconstrained)
        yield (
            "plain ReLU, Adam, bfloat16",
            make_step(network, torch.optim.Adam(network.parameters()), fast),
        )
        yield "orthonormal MaxMin, Stiefel, as lipsort train", stiefel(fast, fast)
        yield "the same with optimizer.interval=2 (mean of a pair)", stiefel(fast, fast, 2)
    network = mlp(MaxMin, lambda: Bjorck(order=1, iterations=20))
    yield (
        "20 unrolled Bjorck steps, Adam",
        make_step(network, build_optimizer(network, AdamOptimizer())),
    )
    if torchlip:
        from deel.torchlip import SpectralLinear

        torch.manual_seed(0)
        sizes = [784, *WIDTHS]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [SpectralLinear(inputs, outputs), MaxMin()]
        network = nn.Sequential(*layers, SpectralLinear(sizes[-1], 10))
        yield (
            "deel-torchlip SpectralLinear, Adam",
            make_step(network, torch.optim.Adam(network.parameters())),
        )


def with_update_dtype(step: Step, dtype: torch.dtype) -> Step:
    """The same step with the optimizer's fast products in ``dtype``."""
    from lipsort_cli.optim import polar, stiefel

    def chosen(x: torch.Tensor, y: torch.Tensor) -> None:
        before = (polar.fast_dtype, stiefel.fast_dtype)
        polar.fast_dtype = stiefel.fast_dtype = lambda device: dtype  # type: ignore[assignment]
        try:
            step(x, y)
        finally:
            polar.fast_dtype, stiefel.fast_dtype = before

    return chosen


def measure(batch: int, rounds: int, torchlip: bool) -> dict[str, tuple[float, float]]:
    """Median milliseconds and median ratio to plain ReLU, by method."""
    torch.manual_seed(0)
    x, y = torch.rand(batch, 784), torch.randint(0, 10, (batch,))
    steps = dict(methods(torchlip))
    for step in steps.values():
        for _ in range(2):
            step(x, y)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step(x, y)
            step(x, y)  # a pair: a method may do its work at every second step
            times[name].append((time.perf_counter() - began) / 2)
    plain = times[PLAIN]
    return {
        name: (
            1e3 * statistics.median(values),
            statistics.median(a / b for a, b in zip(values, plain, strict=True)),
        )
        for name, values in times.items()
    }


def main() -> None:
    """Measure and print one table a batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torchlip = False
    with contextlib.suppress(ImportError):
        import deel.torchlip  # noqa: F401

        torchlip = True
    figures = {}
    for batch in options.batch:
        found = figures[batch] = measure(batch, options.rounds, torchlip)
        table = Table(
            title=f"MLP 784-1024x3-10, batch {batch}, {torch.get_num_threads()} threads, "
            f"median of {options.rounds} rounds"
        )
        table.add_column("method")
        table.add_column("ms a step", justify="right")
        table.add_column("times plain", justify="right")
        for name, (milliseconds, ratio) in found.items():
            table.add_row(name, f"{milliseconds:.1f}", f"{ratio:.2f}")
        Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
