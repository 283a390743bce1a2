"""What is known of an operation, and where: one module an operation in the folder ``operations``.

A module is imported only when a network names its operation, and only if its file lies in that
folder; an operation without a file is refused, never guessed. To add one is to add a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Unsupported
from .layer import Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .onnx import Builder
    from .parsing import Entry
    from .state import State

FOLDER = Path(__file__).with_name("operations")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")


@dataclass(frozen=True)
class LayerBound:
    """Upper bound ``value`` of one layer's Lipschitz constant, how it was proven, and from what.

    ``witness`` is the ``c^2`` of a spectral bound (0.0: none). ``parts`` are the bounds of the
    layers inside a container.
    """

    index: int
    op: str
    value: float
    method: str = ""
    witness: float = 0.0
    parts: tuple[tuple[LayerBound, ...], ...] = ()

    def walk(self) -> Iterator[LayerBound]:
        """This bound and all inside it."""
        yield self
        for part in self.parts:
            for bound in part:
                yield from bound.walk()


class Operation:
    """All that is known of one operation.

    ``m`` is the machine that evaluates: binary64 rounded outwards, or exact. Both take the same
    formulas (see :mod:`lipsort_cli.verifier.machine`).
    """

    fields: tuple[str, ...] = ()
    """Fields of its entry in a graph, beside ``op``."""
    reals: tuple[str, ...] = ()
    """Those that are real numbers, in the order of ``Layer.numbers``."""
    node = ""
    """The operation of ONNX, where it is a single node."""
    methods: tuple[str, ...] = ("1-Lipschitz",)
    """How its constant may be proven."""
    smooth = False
    """Whether it needs the accuracy of a mathematical library; then in real arithmetic only."""

    def parse(self, entry: Entry) -> dict[str, Any]:
        """Fields of the :class:`Layer`, checked; without ``out_shape`` the shape stays."""
        return {"numbers": entry.reals(*self.reals)}

    def describe(self, layer: Layer) -> dict[str, Any]:
        """The entry's fields in their one canonical form."""
        found: dict[str, Any] = {}
        for key in self.fields:
            if key in ("weight", "bias"):
                there = getattr(layer, key) is not None
                found[key] = f"{layer.name}.{key}" if there else None
            elif key in self.reals:
                found[key] = layer.numbers[self.reals.index(key)].hex()
            elif key in ("layers", "branches"):
                chains = [[described(item) for item in part] for part in layer.parts]
                found[key] = chains[0] if key == "layers" else chains
            else:
                size = key in ("group_size", "block", "kernel")
                found[key] = layer.size if size else getattr(layer, key)
        return found

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """The Lipschitz constant from ``norm`` to ``norm``, as an upper bound of ``m``."""
        return m.upper(1.0)

    def bound(self, layer: Layer, norm: str, m: Any, hint: LayerBound) -> tuple[Any, str, float]:
        """The constant with its method and witness; ``hint`` says which proof to try, if any.

        A container finds the bounds of the layers inside it in ``hint.parts``.
        """
        return self.constant(layer, norm, m), self.methods[0], 0.0

    def values(self, layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
        """The layer at ``[N, n]``, exact for numbers of any type: for all that only select."""
        raise NotImplementedError(layer.op)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Carry values and errors over the layer, whose proven constant is ``bound``.

        The default serves what moves, selects or changes signs, and so rounds nothing.
        """
        state.values = state.m.select(lambda array: self.values(layer, array), state.values)
        state.selected(layer, bound.value)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Add the layer's nodes; the last one makes ``output`` (empty: a value of any name)."""
        if not self.node:
            reason = f"found operation {layer.op!r}, which lipsort cannot write as ONNX"
            raise Unsupported(layer.place, reason)
        builder.node(self.node, attributes=self.attributes(layer), output=output)

    def attributes(self, layer: Layer) -> dict[str, Any]:
        """Of the single node."""
        return {}


def described(layer: Layer) -> dict[str, Any]:
    """The layer's entry in a graph."""
    return {"op": layer.op, **of(layer).describe(layer)}


@lru_cache(maxsize=256)
def find(name: str) -> Operation | None:
    """The operation called ``name``; None when there is none."""
    if not _NAME.match(name) or not (FOLDER / f"{name}.py").is_file():
        return None
    module = import_module(f"{__package__}.operations.{name}")
    found: Operation = getattr(module, "".join(part.capitalize() for part in name.split("_")))()
    return found


def of(layer: Layer) -> Operation:
    """The operation of a parsed layer."""
    found = find(layer.op)
    assert found is not None
    return found


def names() -> list[str]:
    """All operations there are."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
