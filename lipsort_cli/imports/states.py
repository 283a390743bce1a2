"""Values of a foreign graph as components of states, and states as operations of lipsort.

A tensor of the graph, for a batch of one, is an array of places in one or more *states*: what
reshapes, transposes, slices, splits and joins is done on the places alone, and costs no layer. A
layer that needs numbers in an order of its own *settles* a value: into a state as it is, behind
``flatten`` or ``select``, or behind ``concatenate`` where they lie in several. States made in the
same way are the same, so the maximum and the minimum of one pair are two places of one sort.

States form a graph with one source. Its *dominator* is the latest state that all paths to a state
pass; what lies between is written as chains inside ``sum``, ``residual`` and ``concatenate``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Places = NDArray[np.int64]
ZERO = -1
"""The place of a constant zero."""
ABSENT = -2
"""In a join: what it does not hold."""


@dataclass(frozen=True, eq=False)
class State:
    """What the operation ``op`` makes of ``parents``; ``weight`` and ``bias`` in binary64.

    ``node`` is the node of the file that it stands for.
    """

    op: str
    shape: Shape
    parents: tuple[State, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    weight: NDArray[np.float64] | None = None
    bias: NDArray[np.float64] | None = None
    node: str = ""
    dominator: State | None = None
    depth: int = 0

    @property
    def width(self) -> int:
        """Components."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor: ``places`` of its shape count through the components of ``sources`` in turn."""

    sources: tuple[State, ...]
    places: Places

    @classmethod
    def whole(cls, state: State, shape: Sequence[int]) -> Value:
        """All of ``state``, in order, in the shape that the graph has for it."""
        return cls((state,), np.arange(state.width, dtype=np.int64).reshape(shape))

    @property
    def shape(self) -> Shape:
        """The tensor's shape."""
        return self.places.shape

    def at(self, places: Places) -> Value:
        """Some of the same numbers; sources that are not met any more are left out."""
        ends = np.cumsum([source.width for source in self.sources])
        used = np.searchsorted(ends, places.ravel()[places.ravel() >= 0], side="right")
        kept = tuple(self.sources[k] for k in dict.fromkeys(used.tolist()))
        if kept == self.sources:
            return Value(self.sources, places)
        offsets = dict(zip(kept, np.cumsum([0, *(s.width for s in kept)]), strict=False))
        lookup = np.full(int(ends[-1]) + 1, ZERO)
        for source, end in zip(self.sources, ends, strict=True):
            if source in offsets:
                start = offsets[source]
                lookup[end - source.width : end] = np.arange(start, start + source.width)
        return Value(kept, lookup[places])

    def is_whole(self) -> bool:
        """Whether it is one state, every component once and in order."""
        if len(self.sources) != 1 or self.places.size != self.sources[0].width:
            return False
        return bool((self.places.ravel() == np.arange(self.places.size)).all())


def aligned(values: Sequence[Value]) -> tuple[Value, list[Places]]:
    """The places of ``values`` counted through all their sources together."""
    sources = tuple(dict.fromkeys(s for value in values for s in value.sources))
    starts = dict(zip(sources, np.cumsum([0, *(s.width for s in sources)]), strict=False))
    found = []
    for value in values:
        runs = [np.arange(starts[s], starts[s] + s.width) for s in value.sources]
        lookup = np.concatenate([*runs, [ZERO]]).astype(np.int64)
        found.append(lookup[value.places])
    return Value(sources, np.zeros(0, dtype=np.int64)), found


def natural(shape: Sequence[int]) -> Shape:
    """The shape of a state for a tensor ``[1, ...]``: an image, or flat."""
    return tuple(shape[1:]) if len(shape) == 4 and shape[0] == 1 else (math.prod(shape),)


class Trace:
    """Makes states, each only once."""

    def __init__(self, shape: Shape) -> None:
        self.input = State("input", shape)
        self.means: dict[State, Value] = {}
        """Of each state that holds means, what they are the means of, along the last axis."""
        self._known: dict[Any, State] = {}
        self._joins: dict[State, dict[State, Places]] = {}

    def state(
        self,
        op: str,
        parents: Sequence[State],
        shape: Sequence[int],
        node: str,
        weight: NDArray[Any] | None = None,
        bias: NDArray[Any] | None = None,
        **fields: Any,
    ) -> State:
        """The state that ``op`` makes."""
        weight, bias = (None if a is None else np.asarray(a, np.float64) for a in (weight, bias))
        digests = [
            None if a is None else (a.shape, hashlib.sha256(a.tobytes()).digest())
            for a in (weight, bias)
        ]
        key = (op, tuple(map(id, parents)), tuple(shape), repr(sorted(fields.items())), *digests)
        if key not in self._known:
            top = _common(parents)
            self._known[key] = State(
                op, tuple(shape), tuple(parents), fields, weight, bias, node, top, top.depth + 1
            )
        return self._known[key]

    def settle(self, value: Value, shape: Shape, node: str) -> State:
        """A state of ``shape`` whose components are the value's numbers in their order."""
        value = self.together(value.at(value.places), node)
        base = value.sources[0] if value.sources else self.input
        if Value((base,), value.places).is_whole():
            if base.shape == shape:
                return base
            if len(shape) == 1:
                return self.state("flatten", [base], shape, node)
        places = value.places.ravel()
        if base.op == "dense" and len(shape) == 1 and len(places) <= 2 * base.width:
            return self._rows(base, places, shape, node)
        return self.state("select", [base], shape, node, places)

    def together(self, value: Value, node: str) -> Value:
        """The same numbers as places of one state."""
        if len(value.sources) > 1:
            value = self._on_joins(self._halves(value, node))
        return self._joined(value, node) if len(value.sources) > 1 else value

    def _halves(self, value: Value, node: str) -> Value:
        """relu(x) beside relu(-x) as the sizes of sorted pairs (0, x): one state, of constant 1."""
        for first in value.sources:
            for second in value.sources:
                turned = second.parents[0] if second.op == "relu" else first
                if first.op != "relu" or turned.op != "scale" or turned.parents != first.parents:
                    continue
                if turned.fields["factor"] != -1.0:
                    continue
                places = np.arange(first.width, dtype=np.int64)
                pairs = np.stack([np.full_like(places, ZERO), places], axis=1).ravel()
                made = self.state("select", first.parents, pairs.shape, node, pairs)
                made = self.state("groupsort", [made], made.shape, node, group_size=2)
                made = self.state("abs", [made], made.shape, node)
                halves = {first: 2 * places + 1, second: 2 * places}
                whole, parts = aligned(
                    [
                        Value((made,), halves[s]) if s in halves else Value.whole(s, s.shape)
                        for s in value.sources
                    ]
                )
                lookup = np.concatenate([*(part.ravel() for part in parts), [ZERO]])
                return self._halves(whole.at(lookup[value.places]), node)
        return value

    def _rows(self, base: State, places: Places, shape: Shape, node: str) -> State:
        """A dense layer's outputs chosen, by choosing its rows."""
        assert base.weight is not None
        weight = np.concatenate([base.weight, np.zeros((1, base.weight.shape[1]))])[places]
        bias = None if base.bias is None else np.append(base.bias, 0.0)[places]
        return self.state("dense", base.parents, shape, base.node or node, weight, bias)

    def _joined(self, value: Value, node: str) -> Value:
        """Its sources side by side, of each only what is met: a branch depends on no more."""
        parts: list[State] = []
        lookups: dict[State, Places] = {}
        start = total = 0
        for source in value.sources:
            inside = (value.places >= start) & (value.places < start + source.width)
            met = np.unique(value.places[inside] - start)
            channels = met[:: max(1, source.width // source.shape[0])]
            pixels = np.arange(math.prod(source.shape[1:]))
            all_of_them = (channels[:, None] + pixels).ravel()
            whole = len(source.shape) == 3 and np.array_equal(met, all_of_them)
            shape = (len(met) * source.shape[0] // source.width, *source.shape[1:])
            parts.append(self.settle(Value((source,), met), shape if whole else met.shape, node))
            lookups[source] = np.full(source.width, ABSENT)
            lookups[source][met] = np.arange(total, total + len(met))
            start, total = start + source.width, total + len(met)
        if any(len(part.shape) != 3 or part.shape[1:] != parts[0].shape[1:] for part in parts):
            parts = [self.settle(Value.whole(p, p.shape), (p.width,), node) for p in parts]
        shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        joined = self.state("concatenate", parts, shape, node)
        for source, lookup in lookups.items():
            self._joins.setdefault(source, {})[joined] = lookup
        lookup = np.append(np.concatenate([lookups[s] for s in value.sources]), ZERO)
        return Value((joined,), lookup[value.places])

    def _on_joins(self, value: Value) -> Value:
        """Take from an earlier join what it holds, where another source is made from it.

        A block that appends to all that came before it is then a chain of short containers.
        """
        start = 0
        for source in value.sources:
            inside = (value.places >= start) & (value.places < start + source.width)
            for joined, lookup in reversed(self._joins.get(source, {}).items()):
                others = [other for other in value.sources if other is not source]
                met = lookup[value.places[inside] - start]
                if (met != ABSENT).all() and any(_dominates(joined, other) for other in others):
                    whole, (places, moved) = aligned([value, Value((joined,), met)])
                    places[inside] = moved
                    return self._on_joins(whole.at(places))
            start += source.width
        return value


def _common(states: Iterable[State]) -> State:
    """The latest state that dominates all of them."""
    first, *others = states
    for other in others:
        while first is not other:
            if first.depth >= other.depth:
                assert first.dominator is not None
                first = first.dominator
            else:
                assert other.dominator is not None
                other = other.dominator
    return first


def _dominates(first: State, second: State) -> bool:
    while second.depth > first.depth:
        assert second.dominator is not None
        second = second.dominator
    return second is first
