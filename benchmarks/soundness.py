"""Tries to refute what the verifier proves, at length; the exit code is 1 if anything is refuted.

    python benchmarks/soundness.py [--only PART ...] [--scale 1.0] [--seed 0] [--output FILE.json]

| part | what is compared | at least |
|---|---|---|
| `norms` | every operation's constant with pairs of points in the steepest direction | 20,000 |
| `errors` | logits, exact and on hostile machines, with the error bounds: | 1,000,000 |
| | orders, trees, fused, flushed, rounded as badly as the model allows | 10,000 an operation |
| `deployed` | torch modules and ONNX Runtime with the same bounds | 200,000 |
| `radii` | points just inside certified balls, towards the nearest other class | 100,000 |
| `w1` | Wasserstein bounds with rational transport of tiny measures | 10,000 |
| `coverage` | confidence bounds, over all samples that there are | 400,000 |
| `attacks` | DeepFool, PGD and a rounding search against certificates | 100,000 |

Definitions, machines and networks are those of ``tests/referee``, which share no code with the
verifier. ``closest`` is the largest value found over its bound: close to 1 where bounds are tight,
above 1 nowhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [
    str(Path(__file__).parent),
    str(Path(__file__).parent.parent / "tests" / "referee"),
]

from boundaries import try_radii  # noqa: E402
from certificate_attacks import attack_points  # noqa: E402
from coverage_trials import try_means, try_pairs, try_upper  # noqa: E402
from definitions import DEFINITIONS  # noqa: E402
from deployed import try_deployed  # noqa: E402
from measures import try_measures  # noqa: E402
from tally import Tally  # noqa: E402
from trials import try_errors, try_norms  # noqa: E402

OPERATIONS = sorted(DEFINITIONS)
Trial = Callable[[np.random.Generator, Tally, str], None]
TRIALS: dict[str, tuple[Trial, int, int]] = {
    "norms": (try_norms, 20_000, 20_000 // len(OPERATIONS)),
    "errors": (try_errors, 1_000_000, 10_000),
    "deployed": (try_deployed, 200_000, 0),
    "radii": (try_radii, 100_000, 1_000),
    "w1": (try_measures, 10_000, 0),
}
"""Each part's trial, how many numbers it is to check, and how many of every operation."""


def repeat(name: str, scale: float, seed: int) -> Tally:
    """Trials around each operation in turn, until every count is reached."""
    trial, total, each = TRIALS[name]
    rng, tally = np.random.default_rng(seed), Tally()
    while tally.total < scale * total or tally.least(OPERATIONS if each else []) < scale * each:
        for op in OPERATIONS:
            trial(rng, tally, op)
    return tally


def coverage(scale: float) -> Tally:
    """Enumerated samples; beyond a small scale, larger ones."""
    tally = Tally()
    sizes = (8, 5, (4, 6), (12, 20)) if scale >= 1 else (6, 4, (3, 5), (6, 9))
    try_means(tally, sizes[0])
    try_means(tally, sizes[1], (0.0, 0.25, 1.0))
    try_means(tally, sizes[1], (-1.0, 0.0, 1e-3, 2.0))
    try_pairs(tally, sizes[2])
    try_upper(tally, sizes[3])
    return tally


def run(name: str, scale: float, seed: int) -> dict[str, Any]:
    """One part: prints its table and violations; returns the figures."""
    began = time.monotonic()
    if name == "attacks":
        table, checked, broken = attack_points(int(100_000 * scale), seed)
        figures: dict[str, Any] = {"checked": checked, "violations": broken}
    else:
        tally = coverage(scale) if name == "coverage" else repeat(name, scale, seed)
        table = tally.table(name)
        figures = {
            "checked": tally.total,
            "violations": len(tally.violations),
            "closest": max(tally.closest.values(), default=0.0),
            "by operation": dict(tally.checked),
        }
        for words in tally.violations[:20]:
            print(f"VIOLATION {words}")
    figures["seconds"] = round(time.monotonic() - began, 1)
    print(
        f"{table}\n{name}: {figures['violations']} violations, {figures['seconds']} s\n", flush=True
    )
    return figures


def main() -> int:
    """Run all parts, or those named; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = [*TRIALS, "coverage", "attacks"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, metavar="PART")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every count")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the counts as JSON")
    options = parser.parse_args()
    found = {name: run(name, options.scale, options.seed) for name in options.only}
    if options.output:
        options.output.write_text(json.dumps(found, indent=2) + "\n")
    violations = sum(figures["violations"] for figures in found.values())
    print(
        f"{sum(figures['checked'] for figures in found.values())} checked, {violations} violations"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
