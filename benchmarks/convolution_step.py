"""Times one training step of a convolutional network of the zoo, each variant beside the others.

    python benchmarks/convolution_step.py [--model cnn] [--shape 1 28 28] [--batch 256] [--rounds 7]

Variants take turns, round after round; a ratio is the median over rounds of a variant's time over
that of the unconstrained ReLU network in the same round and precision.
"""

from __future__ import annotations

import argparse
import statistics
import time
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from training_step import Method

from lipsort_cli.config.learning import AdamOptimizer, StiefelOptimizer
from lipsort_cli.config.models import ImageModel
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.devices import fast_dtype
from lipsort_cli.layers.convolutions import base as convolution
from lipsort_cli.optim import build_optimizer
from lipsort_cli.zoo import build_network

IMAGE_MODELS = sorted(n for n, kind in GROUPS["model"].items() if issubclass(kind, ImageModel))
PLAIN = "none, relu, {}"
VARIANTS = [
    ("none", "relu", ""),
    ("none", "maxmin", ""),
    ("orthonormal", "maxmin", ""),
    ("orthonormal", "maxmin", "channels first"),
    ("orthonormal", "maxmin", "interval 2"),
    ("aol", "maxmin", ""),
    ("spectral", "maxmin", ""),
    ("bjorck", "maxmin", ""),
]


class ChannelsFirst(nn.Module):
    """A network whose convolutions take images as torch lays them out, a channel's pixels together.

    The layers put a pixel's channels side by side where that is quicker: this is the other way.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] to the network's output."""
        with patch.object(convolution, "channels_go_last", lambda x: False):
            return self.network(x)


def steps(model: str, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, Method]:
    """Every variant, freshly built."""
    made = {}
    for constraint, activation, extra in VARIANTS:
        torch.manual_seed(0)
        network: nn.Module = build_network(
            GROUPS["model"][model](),
            GROUPS["activation"][activation](),
            GROUPS["constraint"][constraint](name=constraint),
            shape,
            10,
        )
        optimizer = build_optimizer(
            network,
            StiefelOptimizer(interval=2 if extra == "interval 2" else 1)
            if constraint == "orthonormal"
            else AdamOptimizer(),
        )
        if extra == "channels first":
            network = ChannelsFirst(network)
        name = ", ".join(filter(None, (constraint, activation, extra)))
        made[f"{name}, {str(dtype)[6:]}"] = Method(
            network.train(), optimizer, dtype, fast_dtype("cpu")
        )
    return made


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=IMAGE_MODELS, default="cnn")
    parser.add_argument("--shape", type=int, nargs=3, default=[1, 28, 28])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x = torch.rand(options.batch, *options.shape)
    y = torch.randint(0, 10, (options.batch,))
    dtypes = list(dict.fromkeys([torch.float32, fast_dtype("cpu")]))
    every = {dtype: steps(options.model, tuple(options.shape), dtype) for dtype in dtypes}
    times: dict[str, list[float]] = {}
    for round_number in range(options.rounds + 1):
        for variants in every.values():
            for name, method in variants.items():
                # A pair: a variant may do its work at every second step.
                seconds = sum(sum(method.step(x, y, time.perf_counter)) for _ in range(2))
                if round_number:  # the first warms up
                    times.setdefault(name, []).append(seconds / 2)
    table = Table(
        title=f"{options.model}, {'x'.join(map(str, options.shape))}, batch {options.batch}, "
        f"{torch.get_num_threads()} threads, median of {options.rounds} rounds"
    )
    table.add_column("constraint, activation, precision")
    table.add_column("ms a step", justify="right")
    table.add_column("times plain", justify="right")
    for name, values in times.items():
        plain = times[PLAIN.format(name.rpartition(", ")[2])]
        ratio = statistics.median(a / b for a, b in zip(values, plain, strict=True))
        table.add_row(name, f"{1e3 * statistics.median(values):.0f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
