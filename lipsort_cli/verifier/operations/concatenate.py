"""``concatenate``: (f1(x), f2(x), ...) along the first axis; an empty chain is the identity."""

from dataclasses import replace

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


class Concatenate(Operation):
    """The constant is the norm of the branches' constants; rounds nothing."""

    fields = ("branches",)
    methods = ("norm of branches",)

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
            if len(shapes[-1]) not in (1, 3) or shapes[-1][1:] != shapes[0][1:]:
                reason = f"returns shape {list(shapes[-1])} beside {list(shapes[0])}"
                raise Invalid(f"{entry.at}.{place}", reason)
        total = sum(shape[0] for shape in shapes)
        return {"parts": tuple(parts), "out_shape": (total, *shapes[0][1:])}

    def bound(self, layer: Layer, norm: str, m: Any, hint: LayerBound) -> tuple[Any, str, float]:
        constants = [chain_constant(part, m) for part in hint.parts]
        return m.norm_of(constants, norm), self.methods[0], 0.0

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Carry every branch on its own, then join values and errors."""
        branches = []
        for part, inner in zip(layer.parts, bound.parts, strict=True):
            branches.append(replace(state))
            carry(branches[-1], part, inner)
        state.values = state.m.join([branch.values for branch in branches])
        for name in ("own", "d0", "d1"):
            errors = [getattr(branch, name) for branch in branches]
            setattr(state, name, state.m.norm_of(errors, state.norm))
        state.lip = state.lip * state.m.upper(bound.value)
