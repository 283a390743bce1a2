"""From attacks to distances: the smallest perturbation found for every point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipsort_cli.norms import lengths


def lead(logits: Tensor, labels: Tensor) -> Tensor:
    """Smallest lead of the labelled class, ``[N, C]`` to ``[N]``; not positive means fooled."""
    rows = torch.arange(len(labels))
    gaps = logits[rows, labels][:, None] - logits
    gaps[rows, labels] = torch.inf
    return gaps.min(1).values


def distances(first: Tensor, second: Tensor, norm: str) -> NDArray[np.float64]:
    """Distances ``[N]`` in binary64."""
    found: NDArray[np.float64] = lengths(first.double() - second.double(), norm).numpy()
    return found


@dataclass
class Findings:
    """The nearest fooling input found for every point; ``nearest`` is infinite where none was."""

    inputs: Tensor
    labels: Tensor
    norm: str
    nearest: NDArray[np.float64]
    witness: Tensor

    @classmethod
    def start(cls, inputs: Tensor, labels: Tensor, norm: str) -> Findings:
        """Nothing found yet."""
        nearest = np.full(len(inputs), np.inf)
        return cls(inputs, labels, norm, nearest, inputs.clone())

    def record(self, candidates: Tensor, fooled: Tensor, rows: Tensor | None = None) -> None:
        """Keep fooling candidates that are nearer than those known; ``rows`` they belong to."""
        index = torch.arange(len(self.inputs)) if rows is None else rows
        found = distances(candidates, self.inputs[index], self.norm)
        place = index.numpy()
        better = fooled.numpy() & (found < self.nearest[place])
        self.nearest[place[better]] = found[better]
        self.witness[index[torch.from_numpy(better)]] = candidates[torch.from_numpy(better)]

    def bisect(self, fooled: Callable[[Tensor, Tensor], Tensor], steps: int = 30) -> None:
        """Shorten every perturbation found along the segment to its point."""
        rows = torch.from_numpy(np.flatnonzero(np.isfinite(self.nearest) & (self.nearest > 0)))
        if len(rows) == 0:
            return
        origin, far = self.inputs[rows], self.witness[rows].clone()
        low = torch.zeros(len(rows), dtype=torch.float64)
        high = torch.ones(len(rows), dtype=torch.float64)
        shape = (-1, *[1] * (origin.dim() - 1))
        for _ in range(steps):
            middle = (low + high) / 2
            share = middle.view(shape)
            moved = (origin.double() * (1 - share) + far.double() * share).to(origin.dtype)
            hit = fooled(moved, self.labels[rows])
            self.record(moved, hit, rows)
            high = torch.where(hit, middle, high)
            low = torch.where(hit, low, middle)
