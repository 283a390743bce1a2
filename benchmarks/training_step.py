"""Times one training step of an MLP 784-1024x3-10, each method beside the others in one process.

    python benchmarks/training_step.py [--batch 128 512] [--rounds 15] [--threads 2] [--cpu]
    python benchmarks/training_step.py --picture step.png [--rounds 5] [--threads 1] [--cpu]

Methods take turns, round after round, so that a machine whose speed drifts drifts for all of them;
the ratio of a method is the median over rounds of its time over that of plain ReLU in the same
round. `needed` are the operations of forward and backward pass, 6 a weight and example, `done` all
products that torch was seen to compute. --cpu counts processor seconds, for a machine that others
use as well. --picture draws the ratios against width, depth and batch. Needs the development extra
for deel-torchlip; without it that row is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lipsort_cli.config.learning import AdamOptimizer, StiefelOptimizer
from lipsort_cli.devices import fast_dtype
from lipsort_cli.layers import MaxMin
from lipsort_cli.layers.constraints import Bjorck, Orthonormal, Unconstrained
from lipsort_cli.optim import build_optimizer
from lipsort_cli.training.losses import worst_class_hinge
from lipsort_cli.zoo import build_mlp

WIDTHS = [1024, 1024, 1024]
PLAIN = "plain ReLU, Adam"
PARTS = ("forward", "backward", "update")


@dataclass
class Method:
    """One way to train: forward, backward and update, as `lipsort train` does them."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    dtype: torch.dtype = torch.float32
    fast: torch.dtype = torch.float32
    """Of the optimizer's products."""
    seconds: list[list[float]] = field(default_factory=list)

    def step(self, x: Tensor, y: Tensor, clock: Callable[[], float]) -> list[float]:
        """Seconds of each part."""
        times = [clock()]
        with torch.autocast("cpu", dtype=self.dtype, enabled=self.dtype != torch.float32):
            logits = self.network(x)
        loss = worst_class_hinge(logits.float(), y, 3.0)
        times.append(clock())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        times.append(clock())
        with products_in(self.fast):
            self.optimizer.step()
        times.append(clock())
        return [after - before for before, after in itertools.pairwise(times)]

    def operations(self, x: Tensor, y: Tensor) -> float:
        """Operations of the products of a step."""
        with FlopCounterMode(display=False) as counter:
            self.step(x, y, time.perf_counter)
        return float(counter.get_total_flops())


@contextlib.contextmanager
def products_in(dtype: torch.dtype) -> Iterator[None]:
    """The optimizer's fast products in ``dtype``, whatever this processor would choose."""
    from lipsort_cli.layers.constraints import polar
    from lipsort_cli.optim import stiefel

    modules = (polar, stiefel)
    before = polar.fast_dtype
    for module in modules:
        module.fast_dtype = lambda device: dtype  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in modules:
            module.fast_dtype = before


def network_of(activation: Any, constraint: Any, widths: list[int]) -> nn.Module:
    """The same network for every method."""
    torch.manual_seed(0)
    return build_mlp((784,), 10, widths, activation, constraint).train()


def plain(widths: list[int], activation: Any = nn.ReLU, **options: Any) -> Method:
    """No constraint."""
    network = network_of(activation, Unconstrained, widths)
    return Method(network, torch.optim.Adam(network.parameters()), **options)


def ours(widths: list[int], dtype: torch.dtype = torch.float32, **options: Any) -> Method:
    """Orthonormal weights and MaxMin, with the options of optimizer=stiefel."""
    network = network_of(MaxMin, Orthonormal, widths)
    return Method(network, build_optimizer(network, StiefelOptimizer(**options)), dtype, dtype)


def methods(widths: list[int]) -> dict[str, Callable[[], Method]]:
    """Every method, freshly built; all start from the same widths and loss."""
    found: dict[str, Callable[[], Method]] = {
        PLAIN: lambda: plain(widths),
        "plain MaxMin, Adam": lambda: plain(widths, MaxMin),
        "orthonormal MaxMin, Stiefel, all float32": lambda: ours(widths),
        "the same with optimizer.rank=128": lambda: ours(widths, rank=128),
        "the same with optimizer.rank=64": lambda: ours(widths, rank=64),
    }
    fast = fast_dtype("cpu")
    if fast != torch.float32:
        found |= {
            "plain ReLU, Adam, bfloat16": lambda: plain(widths, dtype=fast),
            "orthonormal MaxMin, Stiefel, bfloat16": lambda: ours(widths, fast),
            "bfloat16 with optimizer.interval=2": lambda: ours(widths, fast, interval=2),
            "bfloat16 with optimizer.rank=128": lambda: ours(widths, fast, rank=128),
            "bfloat16 with optimizer.rank=64": lambda: ours(widths, fast, rank=64),
        }
    found["20 unrolled Bjorck steps, Adam"] = lambda: bjorck(widths)
    with contextlib.suppress(ImportError):
        import deel.torchlip  # noqa: F401

        found["deel-torchlip SpectralLinear, Adam"] = lambda: torchlip(widths)
    return found


def bjorck(widths: list[int]) -> Method:
    """The paper's way."""
    network = network_of(MaxMin, lambda: Bjorck(order=1, iterations=20), widths)
    return Method(network, build_optimizer(network, AdamOptimizer()))


def torchlip(widths: list[int]) -> Method:
    """Another library's way."""
    from deel.torchlip import SpectralLinear

    torch.manual_seed(0)
    sizes = [784, *widths]
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [SpectralLinear(inputs, outputs), MaxMin()]
    network = nn.Sequential(*layers, SpectralLinear(sizes[-1], 10)).train()
    return Method(network, torch.optim.Adam(network.parameters()))


def measure(
    built: dict[str, Method], batch: int, rounds: int, clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Median milliseconds of each part, ratio to the first method, and operations, by method."""
    torch.manual_seed(0)
    x, y = torch.rand(batch, 784), torch.randint(0, 10, (batch,))
    done = {name: method.operations(x, y) for name, method in built.items()}
    for method in built.values():
        method.step(x, y, clock)
        method.seconds.clear()
    for _ in range(rounds):
        for method in built.values():
            # A pair: a method may do its work at every second step.
            pair = [method.step(x, y, clock) for _ in range(2)]
            method.seconds.append([(a + b) / 2 for a, b in zip(*pair, strict=True)])
    first = [sum(parts) for parts in next(iter(built.values())).seconds]
    figures = {}
    for name, method in built.items():
        totals = [sum(parts) for parts in method.seconds]
        ratios = [a / b for a, b in zip(totals, first, strict=True)]
        medians = [1e3 * statistics.median(part) for part in zip(*method.seconds, strict=True)]
        figures[name] = {
            **dict(zip(PARTS, medians, strict=True)),
            "milliseconds": 1e3 * statistics.median(totals),
            "ratio": statistics.median(ratios),
            "done": done[name],
        }
    return figures


def show(figures: dict[str, dict[str, float]], title: str, needed: float) -> None:
    """One table."""
    table = Table(title=f"{title}; needed: {needed / 1e9:.1f} GFLOP", title_justify="left")
    table.add_column("method")
    for column in ("GFLOP done", *(f"{part}, ms" for part in PARTS), "ms a step", "times plain"):
        table.add_column(column, justify="right")
    for name, found in figures.items():
        values = [f"{found[key]:.1f}" for key in (*PARTS, "milliseconds")]
        table.add_row(name, f"{found['done'] / 1e9:.1f}", *values, f"{found['ratio']:.2f}")
    Console(width=120).print(table)


def operations_needed(widths: list[int], batch: int) -> float:
    """Of forward and backward pass: 2 a weight and example, three times (not to the images)."""
    sizes = [784, *widths, 10]
    products = [a * b for a, b in itertools.pairwise(sizes)]
    return 2.0 * batch * (3 * sum(products) - products[0])


def draw(path: Path, rounds: int, clock: Callable[[], float]) -> None:
    """Ratios to plain ReLU against width, depth and batch, about width 512, depth 3, batch 256."""
    from matplotlib.figure import Figure

    axes_of = {
        "width": [([width] * 3, 256) for width in (128, 256, 512, 1024, 2048)],
        "depth": [([512] * depth, 256) for depth in (1, 2, 4, 8)],
        "batch": [([512] * 3, batch) for batch in (64, 128, 256, 512, 1024)],
    }
    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, (name, points) in zip(
        figure.subplots(1, 3, sharey=True), axes_of.items(), strict=True
    ):
        lines: dict[str, list[float]] = {}
        for widths, batch in points:
            built = {
                PLAIN: plain(widths),
                "all directions": ours(widths),
                "rank=width/4": ours(widths, rank=widths[0] // 4),
                "rank=64": ours(widths, rank=64),
            }
            for method, found in measure(built, batch, rounds, clock).items():
                lines.setdefault(method, []).append(found["ratio"])
        at = {"width": lambda p: p[0][0], "depth": lambda p: len(p[0]), "batch": lambda p: p[1]}
        places = [at[name](point) for point in points]
        for method, ratios in lines.items():
            axes.plot(places, ratios, marker="o", label=method)
            Console().print(name, places, method, [round(ratio, 2) for ratio in ratios])
        axes.set(xscale="log", yscale="log", xlabel=name, title=f"against {name}")
        axes.set_xticks(places, [str(place) for place in places])
        axes.minorticks_off()
    axes.legend()
    figure.supylabel("time of a step over plain ReLU, Adam")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure and print one table a batch size, or draw a picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="processor seconds, not the clock's")
    parser.add_argument("--only", help="methods that contain this, and the plain one")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--picture", type=Path, help="draw ratios instead, into this file")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu else time.perf_counter
    if options.picture:
        draw(options.picture, options.rounds, clock)
        return
    figures = {}
    for batch in options.batch:
        built = {
            name: make()
            for name, make in methods(WIDTHS).items()
            if name == PLAIN or options.only is None or options.only in name
        }
        figures[batch] = measure(built, batch, options.rounds, clock)
        title = f"MLP 784-1024x3-10, batch {batch}, {torch.get_num_threads()} threads, " + (
            f"{torch.backends.cpu.get_cpu_capability()}, median of {options.rounds} rounds"
        )
        show(figures[batch], title, operations_needed(WIDTHS, batch))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
