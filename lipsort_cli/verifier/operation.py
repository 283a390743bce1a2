"""A layer as data, and what is known of operations: one module each in the folder ``operations``.

A module is imported only when a network names its operation; one without a file is refused. To add
one is to add a file; its form in ONNX is in :mod:`onnx`, what it costs in ``verification/effort``.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .format import Check
    from .graph import Entry
    from .state import State

FOLDER = Path(__file__).with_name("operations")


@dataclass(frozen=True)
class Layer:
    """One operation from ``shape`` to ``out_shape`` (``inputs`` to ``width`` components); what it
    means, and all that is known of it, is in ``operations/<op>.py``.
    """

    index: int
    op: str
    inputs: int
    width: int
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    numbers: tuple[float, ...] = ()  # scalars; of normalize (mean..., std...), a pair a channel
    size: int = 1  # of a group, a block or a pool's kernel
    shape: tuple[int, ...] = ()
    out_shape: tuple[int, ...] = ()
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    circular: bool = False
    parts: tuple[tuple[Layer, ...], ...] = ()  # the chains inside a container
    name: str = ""  # the prefix of its tensors' names
    entry: dict[str, Any] = field(default_factory=dict)  # of the graph

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The weight of an operation that has one."""
        assert self.weight is not None
        return self.weight

    @property
    def place(self) -> str:
        """Where the graph has this layer, for messages."""
        return place(self.name or f"layers.{self.index}")


@dataclass(frozen=True)
class LayerBound:
    """Upper bound ``value`` of one layer's Lipschitz constant, how it is proven, and from what."""

    index: int
    op: str
    value: float
    method: str = ""
    witness: float = 0.0  # the c^2 of a spectral bound; 0: none
    parts: tuple[tuple[LayerBound, ...], ...] = ()  # of the layers inside a container


def place(name: str) -> str:
    """Of a layer called ``layers.2.branches.0.1``: ``layers[2].branches[0][1]``."""
    return re.sub(r"\.(\d+)", r"[\1]", name)


def walk(chain: Sequence[Any]) -> Iterator[Any]:
    """Layers, or bounds of layers, each followed by those inside it."""
    for item in chain:
        yield item
        for part in item.parts:
            yield from walk(part)


def products(layer: Layer) -> int:
    """Of a weight and a number, that one point takes."""
    matrix = layer.weight is not None and layer.weight.ndim > 1
    return math.prod(layer.out_shape[1:]) * layer.matrix.size if matrix else 0


class Operation(ABC):
    """All that is known of one operation; ``m`` is the machine that evaluates (see
    :mod:`lipsort_cli.verifier.rounding`).
    """

    fields: ClassVar[dict[str, Check]] = {}
    """Fields of its entry in a graph, beside ``op``; what is real makes up ``Layer.numbers``."""
    methods: tuple[str, ...] = ("1-Lipschitz",)  # how its constant may be proven
    smooth = False  # whether it rests on a mathematical library: then in real arithmetic only

    def parse(self, entry: Entry) -> dict[str, Any]:
        """What the entry says of the :class:`Layer` besides; without ``out_shape`` the shape stays.

        Raises Invalid or Unsupported where the fields do not fit each other.
        """
        return {}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """The Lipschitz constant from ``norm`` to ``norm``, as an upper bound of ``m``."""
        return m.upper(1.0)

    def proofs(self, norm: str) -> tuple[str, ...]:
        """Those of its methods that there are from ``norm`` to ``norm``."""
        return self.methods

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        """The constant by the method, witness and parts of ``claim``; bad witnesses prove less."""
        return self.constant(layer, norm, m)

    @abstractmethod
    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Carry values and errors over the layer, whose proven constant is ``bound``."""


class Selection(Operation):
    """What moves, selects or changes signs, and so rounds nothing."""

    @abstractmethod
    def values(self, layer: Layer, values: Any) -> Any:
        """The layer at ``[N, n]``, for numbers of any type."""

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Select among values; errors grow with the constant."""
        state.values = state.m.select(lambda array: self.values(layer, array), state.values)
        state.selected(layer, bound.value)


@lru_cache(maxsize=256)
def find(name: str) -> Operation | None:
    """The operation called ``name``; None when there is none."""
    if name not in names():
        return None
    module = import_module(f"{__package__}.operations.{name}")
    return getattr(module, "".join(part.capitalize() for part in name.split("_")))()


def of(layer: Layer) -> Any:
    """The operation of a parsed layer."""
    return find(layer.op)


@lru_cache(maxsize=1)
def names() -> list[str]:
    """All operations there are."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
