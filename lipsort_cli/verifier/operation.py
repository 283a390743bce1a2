"""What is known of an operation, and where: one module an operation in the folder ``operations``.

A module is imported only when a network names its operation, and only if its file lies in that
folder; an operation without a file is refused, never guessed. To add one is to add a file.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Unsupported
from .layer import Layer, LayerBound

if TYPE_CHECKING:
    from .onnx import Builder
    from .parsing import Entry
    from .state import State

FOLDER = Path(__file__).with_name("operations")
SIZES = ("group_size", "block", "kernel")
"""Names of fields that are ``Layer.size``."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")


class Operation(ABC):
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
        chains = [[described(item) for item in part] for part in layer.parts]
        found = {
            **{key: number.hex() for key, number in zip(self.reals, layer.numbers, strict=False)},
            **{key: layer.size for key in SIZES},
            **{
                key: None if getattr(layer, key) is None else f"{layer.name}.{key}"
                for key in ("weight", "bias")
            },
            "branches": chains,
            "layers": chains[0] if chains else [],
        }
        return {key: found[key] if key in found else getattr(layer, key) for key in self.fields}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """The Lipschitz constant from ``norm`` to ``norm``, as an upper bound of ``m``."""
        return m.upper(1.0)

    def proofs(self, norm: str) -> tuple[str, ...]:
        """Those of its methods that there are from ``norm`` to ``norm``."""
        return self.methods

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        """The constant on ``m`` by the method, witness and parts of ``claim``.

        A bad witness costs tightness, never soundness.
        """
        return self.constant(layer, norm, m)

    @abstractmethod
    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Carry values and errors over the layer, whose proven constant is ``bound``."""

    def work(self, layer: Layer, exact: bool) -> tuple[float, float]:
        """About the multiply-adds in products of matrices, and the numbers moved, of one point."""
        return 0.0, 12.0 * (layer.inputs + layer.width)

    def proof_work(self, layer: Layer, norm: str, method: str) -> tuple[float, float]:
        """The same of a proof."""
        return 0.0, 8.0 * layer.weight.size if layer.weight is not None else 0.0

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Add the layer's nodes; the last one makes ``output`` (empty: a value of any name)."""
        if not self.node:
            reason = f"found operation {layer.op!r}, which lipsort cannot write as ONNX"
            raise Unsupported(layer.place, reason)
        builder.node(self.node, attributes=self.attributes(layer), output=output)

    def attributes(self, layer: Layer) -> dict[str, Any]:
        """Of the single node."""
        return {}


class Selection(Operation):
    """What moves, selects or changes signs, and so rounds nothing."""

    @abstractmethod
    def values(self, layer: Layer, values: Any) -> Any:
        """The layer at ``[N, n]``, for numbers of any type."""

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Select among values; errors grow with the constant."""
        state.values = state.m.select(lambda array: self.values(layer, array), state.values)
        state.selected(layer, bound.value)


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
