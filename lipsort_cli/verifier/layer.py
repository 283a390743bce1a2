"""One operation of a network as data, and what is claimed of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layer:
    """One operation from ``shape`` to ``out_shape`` (``inputs`` to ``width`` components).

    ``numbers`` are its scalars, ``size`` its group size, block or pooling kernel; for
    ``normalize``, ``numbers`` is ``(mean..., std...)``, one pair a channel. ``parts`` are the
    chains inside a container. ``name`` is the prefix of its tensors' names. What an operation
    means, and all that is known of it, is in ``operations/<op>.py``.
    """

    index: int
    op: str
    inputs: int
    width: int
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    numbers: tuple[float, ...] = ()
    size: int = 1
    shape: tuple[int, ...] = ()
    out_shape: tuple[int, ...] = ()
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    circular: bool = False
    parts: tuple[tuple[Layer, ...], ...] = ()
    name: str = ""

    def walk(self) -> Iterator[Layer]:
        """This layer and all layers inside it, in the order of the graph."""
        yield self
        for part in self.parts:
            for layer in part:
                yield from layer.walk()

    @property
    def padding_mode(self) -> str:
        """``circular`` or ``zeros``."""
        return "circular" if self.circular else "zeros"

    @property
    def place(self) -> str:
        """Where the graph has this layer, for messages: ``layers[2].branches[0][1]``."""
        parts = (self.name or f"layers.{self.index}").split(".")
        return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts)[1:]


@dataclass(frozen=True)
class LayerBound:
    """Upper bound ``value`` of one layer's Lipschitz constant, how it is proven, and from what.

    ``witness`` is the ``c^2`` of a spectral bound (0.0: none). ``parts`` are the bounds of the
    layers inside a container.
    """

    index: int
    op: str
    value: float
    method: str = ""
    witness: float = 0.0
    parts: tuple[tuple[LayerBound, ...], ...] = ()
