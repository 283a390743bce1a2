"""The three norms that perturbations and distances are measured in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NAMES = {"l2": "L2", "linf": "L-infinity", "l1": "L1"}
"""As they are written for people."""

DUAL = {"l2": "l2", "linf": "l1", "l1": "linf"}
"""||g||_dual is the largest change of <g, x> over the unit ball."""

ORDER = {"l2": 2.0, "linf": float("inf"), "l1": 1.0}
"""p of each lp norm."""


def lengths(x: Tensor, norm: str) -> Tensor:
    """The norm of each of [N, ...]: [N]."""
    from torch.linalg import vector_norm

    return vector_norm(x.flatten(1), ORDER[norm], dim=1)


def conversion(norm: str, other: str, size: int) -> float:
    """The largest ||x||_other of all x [size] with ||x||_norm = 1: a ball of radius r in ``norm``
    lies in one of ``conversion`` r in ``other``.

    >>> conversion("linf", "l2", 784)
    28.0
    """
    return float(max(1.0, size ** (1 / ORDER[other] - 1 / ORDER[norm])))


def route_words(shares: Mapping[str, float]) -> str:
    """In which norms layers were bounded, for what share of the radii; empty for none.

    >>> route_words({"l2": 0.98, "linf": 0.02})
    'layers bounded in L2 (98.0% of the radii), L-infinity (2.0% of the radii)'
    >>> route_words({"l2": 1.0})
    'layers bounded in L2'
    """
    if not shares:
        return ""
    if len(shares) == 1:
        return f"layers bounded in {route_name(*shares)}"
    parts = (f"{route_name(route)} ({part:.1%} of the radii)" for route, part in shares.items())
    return f"layers bounded in {', '.join(parts)}"


def route_name(route: str) -> str:
    """A route for people.

    >>> route_name("linf"), route_name("l1-l2")
    ('L-infinity', 'L2 (the first from L1)')
    """
    entry, _, norm = route.rpartition("-")
    name = NAMES.get(norm, norm)
    return f"{name} (the first from {NAMES.get(entry, entry)})" if entry else name
