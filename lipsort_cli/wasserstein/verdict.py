"""What an estimate comes to, in one line for the samples and one for their populations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsort_cli.config.distributions import DatasetDistribution, FilesDistribution
from lipsort_cli.directed_text import at_least, at_most


def directed(bound: dict[str, Any]) -> tuple[str, str]:
    """In which direction a bound holds, and its value rounded in that direction."""
    value = float(bound["value"])
    if bound["kind"] == "lower":
        return "at least", at_least(value)
    if bound["kind"] == "upper":
        return "at most", at_most(value)
    return "about", f"{value:.6g}"


def sides(distribution: Any) -> str:
    """The two sides of a configured pair, by the names that their user knows them under."""
    if isinstance(distribution, FilesDistribution):
        return f"{Path(distribution.p).name} and {Path(distribution.q).name}"
    if isinstance(distribution, DatasetDistribution):
        return f"{distribution.dataset} {distribution.p} and {distribution.q}"
    if distribution.name == "generator":
        return "generated samples and data"
    return f"P and Q of {distribution.name}"


def verdict(distribution: Any, results: dict[str, Any]) -> list[str]:
    """The lines: of the samples compared, and, where anything is known of them, the populations."""
    best = _best_lower(results)
    interval = _interval(best, results["upper_bound"])
    lines = [f"W1 between {sides(distribution)}: {interval} ({best['about']})"]
    lower, upper = (results.get(f"population_{kind}_bound") for kind in ("lower", "upper"))
    if lower is not None or upper is not None:
        lines.append(f"W1 between their populations: {_interval(lower, upper)}")
    return lines


def _best_lower(results: dict[str, Any]) -> dict[str, Any]:
    """The critic's bound, or that of the exact transport where it is larger and as certain."""
    own: dict[str, Any] = results["lower_bound"]
    same = [
        bound for bound in results.get("bounds", [])
        if all(bound[key] == own[key] for key in ("kind", "evidence", "about"))
    ]  # fmt: skip
    return max([own, *same], key=lambda bound: float(bound["value"]))


def _interval(lower: dict[str, Any] | None, upper: dict[str, Any] | None) -> str:
    """``in [a, b], proven``; one end alone where the other is unknown or of other evidence."""
    # A distance is at least 0, whatever a critic says.
    low = None if lower is None else f"{at_least(max(0.0, float(lower['value'])))}"
    high = None if upper is None else at_most(float(upper["value"]))
    if lower is not None and upper is not None and lower["evidence"] == upper["evidence"]:
        each = " each" if lower["evidence"].startswith("confidence") else ""
        return f"in [{low}, {high}], {lower['evidence']}{each}"
    ends = [
        f"{word} {value}, {bound['evidence']}"
        for word, value, bound in (("at least", low, lower), ("at most", high, upper))
        if bound is not None
    ]
    return "; ".join(ends)
