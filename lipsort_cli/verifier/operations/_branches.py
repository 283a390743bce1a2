"""What containers share: chains of layers, each of them given the same input."""

from dataclasses import replace

from ..bounds import chain_constant
from ..evaluation import carry
from ._base import Any, Entry, Invalid, Layer, LayerBound, Operation, State

MOST_BRANCHES = 1000
Shape = tuple[int, ...]


class Branches(Operation):
    """Several chains side by side; an empty one is the identity."""

    fields: tuple[str, ...] = ("branches",)

    def fit(self, shape: Shape, first: Shape) -> bool:
        """Whether a branch may return ``shape`` beside one that returns ``first``."""
        return shape == first

    def chains(self, entry: Entry) -> tuple[tuple[tuple[Layer, ...], ...], list[Shape]]:
        """The branches, and what they return."""
        branches = entry.fields["branches"]
        if not isinstance(branches, list) or not 1 <= len(branches) <= MOST_BRANCHES:
            reason = f"expected a list of 1 to {MOST_BRANCHES} lists of layers"
            raise Invalid(f"{entry.at}.branches", reason)
        parts = tuple(
            entry.chain(chain, f"branches.{number}", f"branches[{number}]")
            for number, chain in enumerate(branches)
        )
        shapes = [part[-1].out_shape if part else entry.shape for part in parts]
        for number, shape in enumerate(shapes):
            if not self.fit(shape, shapes[0]):
                reason = f"returns shape {list(shape)} beside {list(shapes[0])}"
                raise Invalid(f"{entry.at}.branches[{number}]", reason)
        return parts, shapes

    def constants(self, claim: LayerBound, m: Any) -> list[Any]:
        """Of the branches."""
        return [chain_constant(part, m) for part in claim.parts]

    def carried(self, layer: Layer, state: State, bound: LayerBound) -> list[State]:
        """The state after each branch on its own."""
        found = []
        for part, inner in zip(layer.parts, bound.parts, strict=True):
            found.append(replace(state))
            carry(found[-1], part, inner)
        return found
