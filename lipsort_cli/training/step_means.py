"""Means over the steps between two logged lines, which nothing reads before the line is due."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lipsort_cli.devices import UNREAD


class StepMeans:
    """Sums by name, each with how many things it is a sum over."""

    def __init__(self, sums: Mapping[str, tuple[float, float]] | None = None) -> None:
        self._sums = {name: (total, count) for name, (total, count) in (sums or {}).items()}
        self._unread: dict[str, list[tuple[Tensor, float, float]]] = {}

    def add(self, name: str, total: Tensor, count: float = 1, times: float = 1) -> None:
        """Count ``times`` a scalar that is a sum over ``count``; it stays on its device."""
        unread = self._unread.setdefault(name, [])
        unread.append((total, count, times))
        if len(unread) >= UNREAD:
            self.sums()

    def sums(self) -> dict[str, tuple[float, float]]:
        """Every sum, and over how many, read from the device; what a checkpoint keeps."""
        for name, unread in self._unread.items():
            values = torch.stack([total for total, _, _ in unread]).tolist()
            total, count = self._sums.get(name, (0.0, 0.0))
            for value, (_, more, times) in zip(values, unread, strict=True):
                total, count = total + times * value, count + more
            self._sums[name] = total, count
        self._unread = {}
        return dict(self._sums)

    def means(self) -> dict[str, float]:
        """The mean of everything that was added, by name."""
        return {name: total / count for name, (total, count) in self.sums().items()}
