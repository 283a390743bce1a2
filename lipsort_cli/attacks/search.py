"""From attacks to distances: the smallest perturbation found for every point.

And a search at the certified radius itself: rounded inputs, other batch sizes, other sum orders.
Certificates that forget rounding break there: just inside the radius the true margin is almost
zero, and whatever float32 loses decides. After Jia and Rinard (SAS 2021) and Zombori et al. (ICLR
2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipsort_cli.attacks.steps import expand
from lipsort_cli.norms import lengths


def distances(first: Tensor, second: Tensor, norm: str) -> NDArray[np.float64]:
    """Distances ``[N]`` in binary64."""
    return lengths(first.double() - second.double(), norm).numpy()


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
        for _ in range(steps):
            middle = (low + high) / 2
            share = expand(middle, origin)
            moved = (origin.double() * (1 - share) + far.double() * share).to(origin.dtype)
            hit = fooled(moved, self.labels[rows])
            self.record(moved, hit, rows)
            high = torch.where(hit, middle, high)
            low = torch.where(hit, low, middle)


SHARES = (1.0, 1 - 2e-7, 1 - 1e-6, 1 - 1e-5, 1 - 1e-4)


def edge_search(
    fooled: Callable[[Tensor, Tensor], Tensor],
    findings: Findings,
    radii: NDArray[np.float64],
    *,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    tries: int = 4,
    generator: torch.Generator | None = None,
) -> None:
    """Try inputs at and just inside ``radii [N]``, in the direction of the nearest fooling input.

    Each try moves random components by one unit in the last place. ``fooled(inputs, labels)``
    evaluates them; it is called on whole batches and on single points, whose sums differ in order.
    """
    usable = (radii > 0) & np.isfinite(findings.nearest) & (findings.nearest > 0)
    rows = torch.from_numpy(np.flatnonzero(usable))
    if len(rows) == 0:
        return
    origin = findings.inputs[rows]
    away = findings.witness[rows].double() - origin.double()
    reach = torch.from_numpy(radii[rows.numpy()] / findings.nearest[rows.numpy()])
    for share in SHARES:
        for attempt in range(tries):
            moved = (origin.double() + away * expand(share * reach, origin)).to(origin.dtype)
            if attempt:
                coin = torch.randint(-1, 2, moved.shape, generator=generator)
                step = torch.where(coin > 0, torch.inf, -torch.inf).to(moved.dtype)
                moved = torch.where(coin == 0, moved, torch.nextafter(moved, step))
            if bounds is not None:
                moved = moved.clamp(*bounds)
            findings.record(moved, fooled(moved, findings.labels[rows]), rows)
    inside = distances(moved, origin, findings.norm) <= radii[rows.numpy()]
    for place in np.flatnonzero(inside)[:200]:
        one = moved[place : place + 1]
        found = fooled(one, findings.labels[rows[place : place + 1]])
        findings.record(one, found, rows[place : place + 1])
