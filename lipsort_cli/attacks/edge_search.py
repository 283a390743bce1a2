"""A search at the certified radius itself: rounded inputs, other batch sizes, other sum orders.

Certificates that forget rounding break here: just inside the radius the true margin is almost
zero, and whatever float32 loses decides. After Jia and Rinard (SAS 2021) and Zombori et al. (ICLR
2021).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipsort_cli.attacks.search import Findings, distances

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
    shape = (-1, *[1] * (origin.dim() - 1))
    for share in SHARES:
        for attempt in range(tries):
            moved = (origin.double() + away * (share * reach).view(shape)).to(origin.dtype)
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
