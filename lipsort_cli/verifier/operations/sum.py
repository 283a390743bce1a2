"""``sum``: f1(x) + f2(x) + ..., chains of layers side by side; an empty one is the identity."""

from dataclasses import replace
from functools import reduce
from operator import add

from ..bounds import carry, chain_constant
from ._base import Any, Entry, Layer, LayerBound, Operation, Shape, State, anything, listing


class Sum(Operation):
    """The constant is the sum of the branches' constants, by the triangle inequality."""

    fields = {"branches": listing(anything, 1, 1000)}
    methods = ("sum of branches",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        shapes = [part[-1].out_shape if part else entry.shape for part in entry["parts"]]
        for number, shape in enumerate(shapes):
            reason = f"returns shape {list(shape)} beside {list(shapes[0])}"
            entry.require(self.joined([shapes[0], shape]), f"branches[{number}]", reason)
        return {"out_shape": self.joined(shapes)}

    def joined(self, shapes: list[Shape]) -> Shape:
        """What branches that return ``shapes`` make together; nothing where they do not fit."""
        return shapes[0] if len(set(shapes)) == 1 else ()

    def constants(self, claim: LayerBound, m: Any) -> list[Any]:
        """Of the branches."""
        return [chain_constant(part, m) for part in claim.parts]

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        return reduce(add, self.constants(claim, m))

    def carried(self, layer: Layer, state: State, bound: LayerBound) -> list[State]:
        """The state after each branch on its own."""
        found = [replace(state) for _ in layer.parts]
        for branch, part, inner in zip(found, layer.parts, bound.parts, strict=True):
            carry(branch, part, inner)
        return found

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """As many roundings as branches cover their sum, in any order."""
        branches = self.carried(layer, state, bound)
        sizes = reduce(add, (branch.size() for branch in branches))
        for name in ("values", "own", "d0", "d1", "lip"):
            setattr(state, name, reduce(add, (getattr(branch, name) for branch in branches)))
        # The constants are in the sums already.
        count = len(branches)
        state.rounded(layer, 1.0, sizes, count, 4 * count, reach=float(count))
