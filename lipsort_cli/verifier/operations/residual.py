"""``residual``: skip * x + branch * f(x), f a chain of layers."""

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


class Residual(Operation):
    """The constant is |skip| + |branch| times that of f."""

    fields = ("skip", "branch", "layers")
    methods = ("sum of branches",)
    container = True

    def parse(self, entry: Entry) -> dict[str, Any]:
        """Two numbers, and a chain that returns the shape that it takes."""
        inner = entry.chain(entry.fields["layers"], "layers", "layers")
        if not inner or inner[-1].out_shape != entry.shape:
            reason = f"the branch does not return shape {list(entry.shape)}"
            raise Invalid(f"{entry.at}.layers", reason)
        return {"numbers": entry.reals("skip", "branch"), "parts": (inner,)}

    def describe(self, layer: Layer) -> dict[str, Any]:
        """Two numbers and the chain."""
        skip, branch = (number.hex() for number in layer.numbers)
        inner = [{"op": item.op, **of(item).describe(item)} for item in layer.parts[0]]
        return {"skip": skip, "branch": branch, "layers": inner}

    def combined(self, layer: Layer, parts: Parts, norm: str, m: Any) -> Any:
        """The triangle inequality."""
        skip, branch = (m.upper(abs(number)) for number in layer.numbers)
        return skip + branch * chain_constant(parts[0], m)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Four roundings of two products and a sum, constants rounded too."""
        skip, share = layer.numbers
        branch = replace(state)
        carry(branch, layer.parts[0], bound.parts[0])

        def mixed(left: Any, right: Any) -> Any:
            return left * abs(skip) + right * abs(share)

        doubts = zip(state.doubt(skip), branch.doubt(share), strict=True)
        doubt = tuple(left + right for left, right in doubts)
        sizes = mixed(state.size(), branch.size())
        for name in ("own", "d0", "d1", "lip"):
            setattr(state, name, mixed(getattr(state, name), getattr(branch, name)))
        state.values = state.values * skip + branch.values * share
        small = 16 * (1 + abs(skip) + abs(share))
        # The constants are in the mixture already.
        state.rounded(layer, 1.0, sizes, 4, small, doubt=(doubt[0], doubt[1]))


OPERATION = Residual()
