"""``sum``: f1(x) + f2(x) + ..."""

from functools import reduce
from operator import add

from ._base import Any, Entry, Layer, LayerBound, State
from ._branches import Branches


class Sum(Branches):
    """The constant is the sum of the branches' constants, by the triangle inequality."""

    methods = ("sum of branches",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        parts, shapes = self.chains(entry)
        return {"parts": parts, "out_shape": shapes[0]}

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        return reduce(add, self.constants(claim, m))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """As many roundings as branches cover their sum, in any order."""
        branches = self.carried(layer, state, bound)
        sizes = reduce(add, (branch.size() for branch in branches))
        for name in ("values", "own", "d0", "d1", "lip"):
            setattr(state, name, reduce(add, (getattr(branch, name) for branch in branches)))
        # The constants are in the sums already.
        count = len(branches)
        state.rounded(layer, 1.0, sizes, count, 4 * count, reach=float(count))
