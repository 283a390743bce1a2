"""``concatenate``: (f1(x), f2(x), ...) along the first axis."""

from functools import reduce

from ._base import Any, Layer, LayerBound, Shape, State, np
from .sum import Sum


class Concatenate(Sum):
    """The constant is the norm of the branches' constants; rounds nothing.

    A branch that begins with a selection depends on what it selects only. Where no input is taken
    by more than m branches, ``sum ||f_k(x) - f_k(y)||^p <= max L_k^p m ||x - y||^p`` as well.
    """

    methods = ("norm of branches",)

    def joined(self, shapes: list[Shape]) -> Shape:
        fit = len({shape[1:] for shape in shapes}) == 1 and len(shapes[0]) in (1, 3)
        return (sum(shape[0] for shape in shapes), *shapes[0][1:]) if fit else ()

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        constants = self.constants(claim, m)
        readers = m.upper(float(_readers(layer)))
        factor = {"linf": m.upper(1.0), "l2": m.root(readers), "l1": readers}[norm]
        apart = reduce(lambda first, second: first.max(second), constants) * factor
        return m.norm(m.stack(constants), norm).min(apart)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Carry every branch on its own, then join values and errors."""
        branches = self.carried(layer, state, bound)
        values = (branch.values for branch in branches)
        state.values = state.m.select(lambda *arrays: np.concatenate(arrays, axis=1), *values)
        for name in ("own", "d0", "d1"):
            errors = [getattr(branch, name) for branch in branches]
            setattr(state, name, state.m.norm(state.m.stack(errors), state.norm))
        state.lip = state.lip * state.m.upper(bound.value)


def _readers(layer: Layer) -> int:
    """How many branches take the same input, at most."""
    count = np.zeros(layer.inputs, dtype=np.int64)
    for part in layer.parts:
        if part and part[0].op == "select":
            chosen = part[0].matrix[part[0].matrix >= 0]
            count[np.unique(chosen.astype(np.int64))] += 1
        else:
            count += 1
    return int(count.max())
