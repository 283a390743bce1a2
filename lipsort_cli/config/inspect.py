"""Typed configuration of `lipsort inspect`."""

from __future__ import annotations

from typing import Any

from lipsort_cli.config.options import REQUIRED, node, option
from lipsort_cli.config.registry import command


@command(
    "inspect",
    takes=("train", "estimate-wasserstein", "wgan", "import"),
    many=True,
    examples=(
        ("The newest run", "lipsort inspect"),
        ("Two runs side by side; results go to the first", "lipsort inspect A B"),
        ("More points, more pictures", "lipsort inspect A points=200 pictures=12"),
    ),
)
@node
class InspectConfig:
    """Look inside networks: singular values, gradients, active units."""

    run: str = option(REQUIRED, "run directory to inspect; the results go there")
    data: Any = None
    runs: list[str] = option([], "run directories that are drawn beside each other, run first")
    points: int = option(
        64, "test points measured at, from the first on", minimum=1, maximum=100_000
    )
    pictures: int = option(8, "points whose input gradients are drawn", minimum=1, maximum=24)
    norm: str | None = option(
        None,
        "norm of inputs; gradients are measured in its dual; null: that of the run",
        choices=["l2", "linf", "l1"],
    )
