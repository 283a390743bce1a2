"""How close critics come to known distances, how fast, and how others do on the same network.

    python benchmarks/wasserstein.py bars            the presets, GroupSort and ReLU side by side
    python benchmarks/wasserstein.py bars --only wasserstein_mnist_3_8
    python benchmarks/wasserstein.py race            time to 0.99 of the truth, 128-D cone
    python benchmarks/wasserstein.py coverage        how often confidence bounds miss

Times are wall-clock seconds of training alone, beside the processor time that this process spent:
on a machine that others use, the second is the steadier one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

PRESETS = {
    "wasserstein_absolute_value": 0.9999,
    "wasserstein_three_cones": 0.997,
    "wasserstein_cone_128": 0.9995,
    "wasserstein_cone_512": 0.99,
    "wasserstein_translated": 0.99,
    "wasserstein_mnist_3_8": 0.9,
    "wasserstein_mnist_3_8_extension": 0.99,
}
"""Presets, and the share of the reference that each is meant to reach."""


def compose(*overrides: str) -> Any:
    """The typed configuration of `lipsort estimate-wasserstein`."""
    from lipsort_cli.config.compose import Composer
    from lipsort_cli.config.typed import to_typed

    with Composer("estimate-wasserstein") as composer:
        return to_typed(composer.check(list(overrides), multirun=False), "estimate-wasserstein")


def estimate(*overrides: str) -> dict[str, Any]:
    """``results.json`` of one quiet run, with the processor seconds of its training."""
    from lipsort_cli import console
    from lipsort_cli.files import read_json

    config = compose(*overrides)
    spent = []
    from lipsort_cli.commands import estimate_wasserstein as command

    original = command.engine.run

    def measured(*arguments: Any) -> Any:
        start = time.process_time()
        leads = original(*arguments)
        spent.append(time.process_time() - start)
        return leads

    command.engine.run = measured
    try:
        with tempfile.TemporaryDirectory() as folder, quiet(console.console):
            command.run(config, Path(folder))
            results: dict[str, Any] = read_json(Path(folder) / "results.json")
    finally:
        command.engine.run = original
    return {**results, "cpu_seconds": spent[0]}


@contextlib.contextmanager
def quiet(console: Any) -> Iterator[None]:
    """Keep a Rich console from printing."""
    before, console.file = console.file, io.StringIO()
    try:
        yield
    finally:
        console.file = before


def bars(arguments: argparse.Namespace) -> None:
    """Every preset with its own activation and with ReLU; means over seeds."""
    columns = "{:28} {:10} {:>9} {:>9} {:>9} {:>8} {:>8} {:>6}"
    header = ("preset", "activation", "share", "worst", "wanted", "wall s", "cpu s", "steps")
    print(columns.format(*header))
    for preset, wanted in PRESETS.items():
        if arguments.only and preset not in arguments.only:
            continue
        for activation in ("", "relu"):
            if activation and (arguments.skip_relu or preset.endswith("_extension")):
                continue
            given = [f"experiment={preset}", "device=cpu"]
            given += [f"threads={arguments.threads}"] if arguments.threads else []
            given += [f"activation={activation}"] if activation else []
            runs = [estimate(*given, f"seed={seed}") for seed in range(arguments.seeds)]
            shares = [
                r["lower_bound"]["value"] / r.get("true", r["upper_bound"]["value"]) for r in runs
            ]
            print(
                columns.format(
                    preset,
                    "extension" if preset.endswith("_extension") else activation or "groupsort",
                    f"{statistics.mean(shares):.5f}",
                    f"{min(shares):.5f}",
                    "" if activation else f"{wanted}",
                    f"{statistics.mean(r['train_seconds'] for r in runs):.1f}",
                    f"{statistics.mean(r['cpu_seconds'] for r in runs):.1f}",
                    runs[0]["steps"],
                ),
                flush=True,
            )


# --- the race ---------------------------------------------------------------------------------


def race(arguments: argparse.Namespace) -> None:
    """Seconds until a critic reaches 0.99 of the truth on the 128-D cone: FullSort 128x3."""
    import torch

    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    contestants: dict[str, Callable[[], tuple[Any, Any]]] = {
        "lipsort: Stiefel optimizer": _ours,
    }
    for lr in (0.01, 0.001):
        contestants[f"20 unrolled Bjorck iterations, Adam {lr:g}"] = partial(_bjorck, lr)
        contestants[f"deel-torchlip SpectralLinear, Adam {lr:g}"] = partial(_torchlip, lr)
    print(f"{'critic':48} {'to 0.99':>9} {'ms/step':>8} {'steps':>6} {'share at the end':>17}")
    for name, make in contestants.items():
        try:
            outcome = _time_to(make, arguments.limit, arguments.seeds)
        except ImportError as error:
            print(f"{name:48} not installed ({error.name})")
            continue
        print(f"{name:48} {outcome}", flush=True)


def objective(critic: Any, x: Any, y: Any) -> Any:
    """mean f(x) - mean f(y) for x [n, d] and y [m, d]."""
    import torch

    values = critic(torch.cat([x, y]))
    return values[: len(x)].mean() - values[len(x) :].mean()


def _time_to(make: Callable[[], tuple[Any, Any]], limit: float, seeds: int) -> str:
    import numpy as np
    import torch

    from lipsort_cli.data.distributions.radial import Spheres

    pair = Spheres(128, [0.0], [1.0])
    reached, pace, last, counts = [], [], [], []
    for seed in range(seeds):
        torch.manual_seed(seed)
        rng, fresh = np.random.default_rng(seed), np.random.default_rng([seed, 1])
        check = [
            torch.from_numpy(pair.sample_p(2000, fresh)),
            torch.from_numpy(pair.sample_q(2000, fresh)),
        ]
        network, optimizer = make()
        spent, steps, share, hit = 0.0, 0, 0.0, math.inf
        while spent < limit and hit == math.inf:
            start = time.perf_counter()
            for _ in range(10):
                x, y = (torch.from_numpy(s(128, rng)) for s in (pair.sample_p, pair.sample_q))
                network.train()
                loss = -objective(network, x, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            spent += time.perf_counter() - start
            steps += 10
            network.eval()
            with torch.no_grad():  # looking is not timed
                share = float(objective(network, *check)) / _constant(network)
            if share >= 0.99:
                hit = spent
        reached.append(hit)
        pace.append(1000 * spent / steps)
        counts.append(steps)
        last.append(share)
    time_to = statistics.mean(reached)
    shown = f"{time_to:8.2f}s" if time_to < math.inf else f"> {limit:.0f}s"
    return (
        f"{shown:>9} {statistics.mean(pace):8.2f} {statistics.mean(counts):6.0f} "
        f"{statistics.mean(last):17.4f}"
    )


def _constant(network: Any) -> float:
    """Product of the weights' spectral norms, in binary64: the same rule for every contestant."""
    import torch

    value = 1.0
    for layer in network:
        if hasattr(layer, "vanilla_export"):
            layer = layer.vanilla_export()
        weight = getattr(layer, "weight", None)
        if weight is not None:
            value *= float(torch.linalg.matrix_norm(weight.detach().double(), 2))
    return value


def _dense(constraint: Callable[[], Any]) -> Any:
    from torch import nn

    from lipsort_cli.layers import Dense, FullSort

    return nn.Sequential(
        Dense(128, 128, True, constraint()),
        FullSort(),
        Dense(128, 128, True, constraint()),
        FullSort(),
        Dense(128, 128, True, constraint()),
        FullSort(),
        Dense(128, 1, True, constraint()),
    )


def _ours() -> tuple[Any, Any]:
    from lipsort_cli.config.learning import StiefelOptimizer
    from lipsort_cli.layers.constraints import Orthonormal
    from lipsort_cli.optim import build_optimizer

    network = _dense(Orthonormal)
    config = StiefelOptimizer(lr=0.1, rest_lr=0.003, polar_steps=5)
    return network, build_optimizer(network, config)


def _bjorck(lr: float) -> tuple[Any, Any]:
    import torch

    from lipsort_cli.layers.constraints import Bjorck

    network = _dense(lambda: Bjorck(1, 20))
    return network, torch.optim.Adam(network.parameters(), lr=lr)


def _torchlip(lr: float) -> tuple[Any, Any]:
    import torch
    from deel import torchlip

    network = torch.nn.Sequential(
        torchlip.SpectralLinear(128, 128),
        torchlip.FullSort(),
        torchlip.SpectralLinear(128, 128),
        torchlip.FullSort(),
        torchlip.SpectralLinear(128, 128),
        torchlip.FullSort(),
        torchlip.SpectralLinear(128, 1),
    )
    return network, torch.optim.Adam(network.parameters(), lr=lr)


# --- coverage ---------------------------------------------------------------------------------


def coverage(arguments: argparse.Namespace) -> None:
    """Misses and mean of every confidence bound over synthetic repetitions."""
    import numpy as np

    from lipsort_cli.wasserstein.confidence import BOUNDS

    rng = np.random.default_rng(0)
    laws: dict[str, tuple[Callable[[], Any], float]] = {
        "bernoulli(0.3)": (lambda: (rng.random(1000) < 0.3).astype(float), 0.3),
        "beta(10, 30)": (lambda: rng.beta(10, 30, 1000), 0.25),
        "uniform": (lambda: rng.random(1000), 0.5),
        "rare: 1 with 0.005": (lambda: (rng.random(1000) < 0.005).astype(float), 0.005),
    }
    print(
        f"{'law, n = 1000':20} {'bound':10} {'mean':>8} {'truth':>7} {'missed':>8} {'allowed':>8}"
    )
    for law, (draw, truth) in laws.items():
        for name, bound in BOUNDS.items():
            values = [bound(draw(), 0.0, 1.0, 0.05) for _ in range(1000)]
            missed = sum(value > truth for value in values) / len(values)
            mean = statistics.mean(values)
            print(f"{law:20} {name:10} {mean:8.4f} {truth:7.3f} {missed:8.1%} {0.05:8.1%}")


def main() -> None:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark", choices=["bars", "race", "coverage"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a contestant (race)")
    parser.add_argument("--only", nargs="*", help="presets (bars)")
    parser.add_argument("--skip-relu", action="store_true", help="no ReLU counterparts (bars)")
    arguments = parser.parse_args()
    {"bars": bars, "race": race, "coverage": coverage}[arguments.benchmark](arguments)


if __name__ == "__main__":
    main()
