"""Typed configuration of `lipsort report`."""

from __future__ import annotations

from dataclasses import dataclass

from lipsort_cli.config.options import option


@dataclass
class ReportConfig:
    """`lipsort report`."""

    runs: list[str] = option(
        ["outputs"], "runs, folders that hold runs at any depth, or quoted patterns"
    )
    sort: str | None = option(
        None,
        "figure such as certified_accuracy.l2.1.58, or key; best first, a leading - reverses",
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
