"""Typed configuration of `lipsort report`."""

from __future__ import annotations

from lipsort_cli.config.options import node, option
from lipsort_cli.config.registry import command


@command(
    "report",
    many=True,
    examples=(
        ("Everything under outputs", "lipsort report"),
        (
            "A sweep, by its certified accuracy at 1.58",
            "lipsort report outputs/train/DATE/TIME sort=certified_accuracy.l2.1.58",
        ),
        (
            "Rows by activation only, two columns",
            "lipsort report A B group=[activation] columns=[clean_accuracy,train_seconds]",
        ),
    ),
)
@node
class ReportConfig:
    """Compare runs and sweeps: tables over seeds, plots, Markdown, HTML."""

    runs: list[str] = option(
        ["outputs"], "runs, folders that hold runs at any depth, or quoted patterns"
    )
    sort: str | None = option(
        None, "figure such as certified_accuracy.l2.1.58, or key; best first, a leading - reverses"
    )
    group: list[str] | None = option(
        None, "keys that make a row, such as activation; null: all that differ but those of pool"
    )
    pool: list[str] = option(["seed"], "keys that a row averages over")
    columns: list[str] = option([], "figures shown, names or patterns; []: all that matter")
    spread: str = option(
        "deviation",
        "what follows a mean: the standard deviation, or half of the range",
        choices=["deviation", "half_range"],
    )
    pictures: bool = option(True, "draw curves over eps and steps, bars and intervals")
    title: str = option("Runs compared", "title of the report")
