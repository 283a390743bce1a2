"""``concatenate``: (f1(x), f2(x), ...) along the first axis."""

from ._base import Any, Entry, Layer, LayerBound, State, np
from ._branches import Branches, Shape


class Concatenate(Branches):
    """The constant is the norm of the branches' constants; rounds nothing."""

    methods = ("norm of branches",)

    def fit(self, shape: Shape, first: Shape) -> bool:
        return len(shape) in (1, 3) and shape[1:] == first[1:]

    def parse(self, entry: Entry) -> dict[str, Any]:
        parts, shapes = self.chains(entry)
        total = sum(shape[0] for shape in shapes)
        return {"parts": parts, "out_shape": (total, *shapes[0][1:])}

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        return m.norm_of(self.constants(claim, m), norm)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Carry every branch on its own, then join values and errors."""
        branches = self.carried(layer, state, bound)
        values = [branch.values for branch in branches]
        state.values = state.m.select(lambda *arrays: np.concatenate(arrays, axis=1), *values)
        for name in ("own", "d0", "d1"):
            errors = [getattr(branch, name) for branch in branches]
            setattr(state, name, state.m.norm_of(errors, state.norm))
        state.lip = state.lip * state.m.upper(bound.value)
