"""Counts of what was checked, by operation, with violations and how close bounds were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """``checked`` numbers, ``refused`` networks, ``unbounded`` numbers of which nothing is claimed.

    ``closest[key]`` is the largest value over its bound; above 1 it is a violation.
    """

    checked: Counter[str] = field(default_factory=Counter)
    total: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unbounded: int = 0
    closest: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def count(self, keys: Iterable[str], number: int, ratio: float) -> None:
        """``number`` values checked for each of ``keys``, the closest at ``ratio`` of its bound."""
        self.total += number
        for key in keys:
            self.checked[key] += number
            self.closest[key] = max(self.closest.get(key, 0.0), ratio)

    def refuse(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.refused[key] += 1

    def violate(self, words: str) -> None:
        self.violations.append(words)

    def least(self, keys: Iterable[str]) -> int:
        """The smallest count among ``keys``."""
        return min((self.checked[key] for key in keys), default=0)

    def table(self, title: str) -> str:
        """One line a key."""
        lines = [f"{title:24}{'checked':>12}{'refused':>9}{'closest':>10}"]
        for key in sorted(self.checked | self.refused):
            ratio = self.closest.get(key, 0.0)
            lines.append(f"{key:24}{self.checked[key]:12}{self.refused[key]:9}{ratio:10.4f}")
        largest = max(self.closest.values(), default=0.0)
        lines.append(
            f"{'all':24}{self.total:12}{'':9}{largest:10.4f}   {len(self.violations)} violations, "
            f"{self.unbounded} with no claim"
        )
        return "\n".join(lines)
