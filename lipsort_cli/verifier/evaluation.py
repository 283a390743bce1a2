"""Carrying points through a network, with a proven bound of rounding errors at and near each (T4).

The recurrence is that of :class:`lipsort_cli.verifier.state.State`; what an operation contributes
is in its module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import Route, layer_norms
from .errors import Invalid
from .graph import Network
from .layer import Layer, LayerBound
from .linear import Linear
from .machine import Binary64
from .operation import of
from .rounding import Arithmetic
from .state import State

CHUNK = 1024
STATE = 1 << 22
"""Components of a layer's outputs over all points of a chunk, about (32 MiB)."""


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
        carry(state, layers, bounds, norm)
    if state.norm != norm:
        raise Invalid("routes", f"no dense layer leads from {entry} to {norm}")
    return state


def carry(
    state: State, layers: Sequence[Layer], bounds: Sequence[LayerBound], norm: str = ""
) -> None:
    """Carry ``state`` through a chain; its norm changes to ``norm`` at the first dense layer."""
    pairs = layer_norms(layers, state.norm, norm or state.norm)
    for layer, bound, (before, after) in zip(layers, bounds, pairs, strict=True):
        if before != after:
            Linear.of(layer, state.arithmetic, state.m).step(layer, state, bound.value, after)
        else:
            of(layer).step(layer, state, bound)


def chunk_size(network: Network, bulk: int) -> int:
    """How many points are carried at a time, numbers taking ``bulk`` times a float's memory."""
    widest = max((layer.width for layer in network.walk()), default=1)
    return min(CHUNK, max(1, STATE // widest)) // bulk or 1


def sweep(
    network: Network,
    layers: Sequence[Layer],
    route: Route,
    inputs: NDArray[np.floating[Any]],
    arithmetic: Arithmetic,
    m: Any,
) -> Iterator[tuple[slice, State]]:
    """Carry ``inputs [N, ...]`` through the first ``layers`` of ``network``, some at a time.

    How many changes memory, and results by rounding.
    """
    flat = inputs.reshape(len(inputs), network.inputs)
    size = chunk_size(network, m.bulk)
    for start in range(0, len(flat), size):
        part = slice(start, min(start + size, len(flat)))
        yield part, propagate(layers, route.bounds[: len(layers)], flat[part], route.norm,
                              arithmetic, m, route.inputs)  # fmt: skip
