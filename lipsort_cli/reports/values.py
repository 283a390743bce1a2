"""The figures of ``results.json``, each under one name and with the evidence it was given.

``certified_accuracy`` at 1.58 in L2 is ``certified_accuracy.l2.1.58``; a bound, which has its value
under ``value``, is called by its key; anything else by its keys joined with dots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lipsort_cli.directed_text import at_least, at_most, share_down
from lipsort_cli.norms import NAMES

COUNT, TIME, GIVEN, UNSTATED = "count", "measured", "known", "evidence not stated"
PROVEN = ("proven", "confidence")
"""How the evidence of what holds by a theorem begins."""
_COUNTS = ("parameters", "steps", "points", "epochs", "samples")
_NO_FIGURES = ("points",)
"""Keys that say about how much a figure is: they belong to it and are none of their own."""
_KINDS = {
    "estimate-wasserstein": {
        "lipschitz_bound": "proven",
        "certified_value": "proven",
        "dual_correlation": "empirical",
        "transport_width": "proven",
        "true": GIVEN,
    },
}
"""What kind of number a figure is where the file itself does not say, by command."""
_IN_A_NORM = (
    *("lipschitz_bound", "certified_value", "true", "estimate", "lower_bound", "upper_bound"),
    *("population_lower_bound", "population_upper_bound"),
)
"""Figures of the norm that a run is about, which do not name it themselves."""
_LOWER_IS_BETTER = (
    *("seconds", "lipschitz_bound", "upper_bound", "width"),
    *("loss", "error", "parameters"),
)


Column = tuple[str, str, str]
"""Name, evidence and detail: what must agree for two figures to stand in one column."""


@dataclass(frozen=True)
class Figure:
    """One number of a run: what it is called, what kind of number it is, and of what.

    ``detail`` says for which arithmetic, attack and points it holds. Figures are compared and
    averaged only where name, evidence and detail are the same.
    """

    name: str
    value: float
    evidence: str
    detail: str = ""

    @property
    def column(self) -> Column:
        """Where it stands."""
        return (self.name, self.evidence, self.detail)


def is_share(name: str) -> bool:
    """Whether a figure is a fraction that is shown in per cent."""
    return any(
        part.removesuffix("_in_deviations").endswith(("accuracy", "share"))
        for part in name.split(".")
    )


def lower_is_better(name: str) -> bool:
    """Whether the best run has the smallest value."""
    last = [part for part in name.split(".") if not _is_number(part)][-1:] or [name]
    return last[0].endswith(_LOWER_IS_BETTER)


def shown(name: str, value: float, evidence: str, digits: int = 6) -> str:
    """A figure as text without its unit; one that is proven is rounded to the safe side."""
    proven = evidence.startswith(PROVEN)
    if is_share(name):
        return share_down(value)[:-1] if proven else f"{100 * value:.2f}"
    if proven:
        is_upper = "upper" in name or name.endswith("lipschitz_bound")
        return (at_most if is_upper else at_least)(value, digits)
    if evidence == COUNT:
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    if name.endswith("seconds") and value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def figures(results: Any, command: str = "", norm: str = "") -> list[Figure]:
    """All figures of the ``results.json`` of ``command``, in the file's order.

    ``norm``: what the run is about. What is no finite number is passed over.
    """
    if not isinstance(results, dict):
        return []
    evidence = results.get("evidence")
    stated = _KINDS.get(command, {}) | (evidence if isinstance(evidence, dict) else {})
    found: list[Figure] = []
    for key, value in results.items():
        if key != "evidence":
            own = norm if key in _IN_A_NORM else ""
            entry = {"norm": own} | value if isinstance(value, dict) else value
            found += _figures(str(key), entry, str(stated.get(key, "")), NAMES.get(own, ""))
    return found


def _figures(name: str, value: Any, evidence: str, detail: str) -> Iterator[Figure]:
    if is_figure(value):
        last = name.rpartition(".")[2]
        if last not in _NO_FIGURES:
            yield Figure(name, float(value), evidence or _kind(name), detail)
    elif isinstance(value, dict):
        own = value.get("evidence")
        evidence = own if isinstance(own, str) else evidence
        inner = own if isinstance(own, dict) else {}
        detail = _detail(value) or detail
        if isinstance(value.get("eps"), dict):
            norm = str(value.get("norm", ""))
            for eps, share in value["eps"].items():
                yield from _figures(f"{name}.{norm}.{eps}", share, evidence, detail)
        elif is_figure(value.get("value")):
            yield Figure(name, float(value["value"]), evidence or UNSTATED, detail)
        else:
            for key, part in value.items():
                if key != "evidence":
                    yield from _figures(
                        f"{name}.{key}", part, str(inner.get(key, evidence)), detail
                    )


def _detail(entry: dict[str, Any]) -> str:
    """What a figure holds for, in words, from the entries that stand beside it."""
    points = entry.get("points")
    said = [entry.get(key) for key in ("arithmetic", "attack", "about")]
    if "eps" not in entry:  # the names of shares say their norm
        said.append(NAMES.get(str(entry.get("norm"))))
    if isinstance(points, int) and not isinstance(points, bool):
        said.append(f"{points:,} points")
    return ", ".join(word for word in said if isinstance(word, str))


def _kind(name: str) -> str:
    if name.endswith("seconds"):
        return TIME
    if any(part.endswith(_COUNTS) for part in name.split(".")):
        return COUNT
    return UNSTATED


def is_figure(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
