"""``concatenate``: (f1(x), f2(x), ...) along the first axis; an empty chain is the identity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lipsort_cli.verifier.bounds import chain_constant
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.evaluation import carry
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.operation import LayerBound, Operation, Parts, of
from lipsort_cli.verifier.parsing import Entry
from lipsort_cli.verifier.state import State

MOST_BRANCHES = 1000


class Concatenate(Operation):
    """The constant is the norm of the branches' constants; rounds nothing."""

    fields = ("branches",)
    methods = ("norm of branches",)
    container = True

    def parse(self, entry: Entry) -> dict[str, Any]:
        """Chains that return states of the same height and width."""
        branches = entry.fields["branches"]
        if not isinstance(branches, list) or not 1 <= len(branches) <= MOST_BRANCHES:
            reason = f"expected a list of 1 to {MOST_BRANCHES} lists of layers"
            raise Invalid(f"{entry.at}.branches", reason)
        parts, shapes = [], []
        for number, chain in enumerate(branches):
            place = f"branches[{number}]"
            part = entry.chain(chain, f"branches.{number}", place)
            shapes.append(part[-1].out_shape if part else entry.shape)
            parts.append(part)
            if len(shapes[-1]) not in (1, 3) or shapes[-1][1:] != shapes[0][1:]:
                reason = f"returns shape {list(shapes[-1])} beside {list(shapes[0])}"
                raise Invalid(f"{entry.at}.{place}", reason)
        total = sum(shape[0] for shape in shapes)
        return {"parts": tuple(parts), "out_shape": (total, *shapes[0][1:])}

    def describe(self, layer: Layer) -> dict[str, Any]:
        """The chains."""
        chains = [[{"op": item.op, **of(item).describe(item)} for item in part]
                  for part in layer.parts]  # fmt: skip
        return {"branches": chains}

    def combined(self, layer: Layer, parts: Parts, norm: str, m: Any) -> Any:
        """The norm of the branches' changes."""
        return m.norm_of([chain_constant(part, m) for part in parts], norm)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Carry every branch on its own, then join values and errors."""
        branches = []
        for part, inner in zip(layer.parts, bound.parts, strict=True):
            branch = replace(state)
            carry(branch, part, inner)
            branches.append(branch)
        state.values = state.m.join([branch.values for branch in branches])
        for name in ("own", "d0", "d1"):
            errors = [getattr(branch, name) for branch in branches]
            setattr(state, name, state.m.norm_of(errors, state.norm))
        state.lip = state.lip * state.m.upper(bound.value)


OPERATION = Concatenate()
