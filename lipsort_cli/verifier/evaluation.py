"""Carrying points through a network, with a proven bound of rounding errors at and near each.

The recurrence is that of :class:`lipsort_cli.verifier.state.State`; what an operation contributes
is in its module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Invalid
from .layer import Layer
from .linear import Linear
from .machine import Binary64
from .operation import LayerBound, of
from .rounding import Arithmetic
from .state import State

CHUNK = 1024
STATE = 1 << 22
"""Components of a layer's outputs over all points of a chunk, about (32 MiB)."""


def chunks(layers: Sequence[Layer], count: int, share: int = 1) -> Iterator[slice]:
    """Slices that cover ``range(count)``; the split changes memory, and results by rounding.

    ``share``: so many times smaller, for a machine whose numbers are larger.
    """
    widest = max((inner.width for layer in layers for inner in layer.walk()), default=1)
    size = min(CHUNK, max(1, STATE // widest)) // share or 1
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def propagate(
    layers: Sequence[Layer],
    bounds: Sequence[LayerBound],
    inputs: NDArray[np.floating[Any]],
    norm: str,
    arithmetic: Arithmetic,
    m: Any = None,
    entry: str = "",
) -> State:
    """Carry inputs ``[N, n]`` through ``layers``, whose constants are ``bounds``.

    ``m``: the machine; binary64 without one. ``entry``: the norm of inputs, where it is another one
    than ``norm``; it changes at the first dense layer.
    """
    state = State.at(Binary64() if m is None else m, inputs, entry or norm, arithmetic)
    with np.errstate(all="ignore"):
        for layer, bound in zip(layers, bounds, strict=True):
            if state.norm != norm and layer.op == "dense":
                Linear.of(layer, arithmetic, state.m).step(layer, state, bound.value, norm)
            else:
                of(layer).step(layer, state, bound)
    if state.norm != norm:
        raise Invalid("routes", f"no dense layer leads from {entry} to {norm}")
    return state


def carry(state: State, layers: Sequence[Layer], bounds: Sequence[LayerBound]) -> None:
    """Carry ``state`` through a chain."""
    for layer, bound in zip(layers, bounds, strict=True):
        of(layer).step(layer, state, bound)
