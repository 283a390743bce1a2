"""``sum``: f1(x) + f2(x) + ..., chains of layers; an empty chain is the identity."""

from dataclasses import replace
from functools import reduce
from operator import add

from ._base import (
    Any,
    Entry,
    Invalid,
    Layer,
    LayerBound,
    Operation,
    State,
    carry,
    chain_constant,
)

MOST_BRANCHES = 1000


class Sum(Operation):
    """The constant is the sum of the branches' constants, by the triangle inequality."""

    fields = ("branches",)
    methods = ("sum of branches",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        branches = entry.fields["branches"]
        if not isinstance(branches, list) or not 1 <= len(branches) <= MOST_BRANCHES:
            reason = f"expected a list of 1 to {MOST_BRANCHES} lists of layers"
            raise Invalid(f"{entry.at}.branches", reason)
        parts, shapes = [], []
        for number, chain in enumerate(branches):
            place = f"branches[{number}]"
            parts.append(entry.chain(chain, f"branches.{number}", place))
            shapes.append(parts[-1][-1].out_shape if parts[-1] else entry.shape)
            if shapes[-1] != shapes[0]:
                reason = f"returns shape {list(shapes[-1])} beside {list(shapes[0])}"
                raise Invalid(f"{entry.at}.{place}", reason)
        return {"parts": tuple(parts), "out_shape": shapes[0]}

    def bound(self, layer: Layer, norm: str, m: Any, hint: LayerBound) -> tuple[Any, str, float]:
        constants = (chain_constant(part, m) for part in hint.parts)
        return reduce(add, constants), self.methods[0], 0.0

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """As many roundings as branches cover their sum, in any order."""
        branches = []
        for part, inner in zip(layer.parts, bound.parts, strict=True):
            branches.append(replace(state))
            carry(branches[-1], part, inner)
        sizes = reduce(add, (branch.size() for branch in branches))
        for name in ("values", "own", "d0", "d1", "lip"):
            setattr(state, name, reduce(add, (getattr(branch, name) for branch in branches)))
        # The constants are in the sums already.
        count = len(branches)
        state.rounded(layer, 1.0, sizes, count, 4 * count, reach=float(count))
