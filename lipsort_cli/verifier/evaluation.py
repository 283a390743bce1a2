"""Carrying points through a network, with a proven bound of rounding errors at and near each.

The recurrence is that of :class:`lipsort_cli.verifier.state.State`; what an operation contributes
is in its module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layer import Layer
from .machine import Binary64
from .operation import LayerBound, of
from .rounding import Arithmetic
from .state import State

CHUNK = 1024
STATE = 1 << 22
"""Components of a layer's outputs over all points of a chunk, about (32 MiB)."""


def chunks(layers: Sequence[Layer], count: int) -> Iterator[slice]:
    """Slices that cover ``range(count)``; the split changes memory, and results by rounding."""
    widest = max((inner.width for layer in layers for inner in layer.walk()), default=1)
    size = min(CHUNK, max(1, STATE // widest))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def propagate(
    layers: Sequence[Layer],
    bounds: Sequence[LayerBound],
    inputs: NDArray[np.floating[Any]],
    norm: str,
    arithmetic: Arithmetic,
    m: Any = None,
) -> State:
    """Carry inputs ``[N, n]`` through ``layers``, whose constants are ``bounds``.

    ``m``: the machine; binary64 without one.
    """
    state = State.at(Binary64() if m is None else m, inputs, norm, arithmetic)
    with np.errstate(all="ignore"):
        carry(state, layers, bounds)
    return state


def carry(state: State, layers: Sequence[Layer], bounds: Sequence[LayerBound]) -> None:
    """Carry ``state`` through a chain."""
    for layer, bound in zip(layers, bounds, strict=True):
        of(layer).step(layer, state, bound)
