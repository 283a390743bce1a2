"""Typed configuration of `lipsort inspect`."""

from __future__ import annotations

from lipsort_cli.config.certificates import OnClassifier, OnRun
from lipsort_cli.config.options import like, node, option
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
class InspectConfig(OnRun):
    """Look inside networks: singular values, gradients, active units."""

    runs: list[str] = option([], "run directories that are drawn beside each other, run first")
    points: int = option(
        64, "test points measured at, from the first on", minimum=1, maximum=100_000
    )
    pictures: int = option(8, "points whose input gradients are drawn", minimum=1, maximum=24)
    norm: str | None = like(
        OnClassifier,
        "norm",
        None,
        "norm of inputs; gradients are measured in its dual; null: that of the run",
    )
