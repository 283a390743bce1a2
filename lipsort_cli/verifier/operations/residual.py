"""``residual``: skip * x + branch * f(x), f a chain; its constant by the triangle inequality."""

from ._base import Any, Entry, Layer, LayerBound, State, anything, real
from .scale import doubt
from .sum import Sum


class Residual(Sum):
    fields = {"skip": real, "branch": real, "layers": anything}

    def parse(self, entry: Entry) -> dict[str, Any]:
        (inner,) = entry["parts"]
        reason = f"the branch does not return shape {list(entry.shape)}"
        entry.require(inner and inner[-1].out_shape == entry.shape, "layers", reason)
        return {}

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        skip, branch = (m.upper(abs(number)) for number in layer.numbers)
        return skip + branch * self.constants(claim, m)[0]

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Four roundings of two products and a sum, constants rounded too."""
        skip, share = layer.numbers
        (branch,) = self.carried(layer, state, bound)

        def mixed(left: Any, right: Any) -> Any:
            return left * abs(skip) + right * abs(share)

        (base, slope), (inner, rate) = doubt(state, skip), doubt(branch, share)
        sizes = mixed(state.size(), branch.size())
        for name in ("own", "d0", "d1", "lip"):
            setattr(state, name, mixed(getattr(state, name), getattr(branch, name)))
        state.values = state.values * skip + branch.values * share
        small = 16 * (1 + abs(skip) + abs(share))
        # The constants are in the mixture already.
        state.rounded(layer, 1.0, sizes, 4, small, doubt=(base + inner, slope + rate))
