"""``dense``: W x + b; its constant is the norm of W."""

from ..linear import SUMS, Linear, spectral_bound
from ._base import Any, Entry, Layer, LayerBound, Operation, State, anything


class Dense(Operation):
    linear = Linear
    fields = {"weight": anything, "bias": anything}
    methods = ("residual", "cholesky", "frobenius", "zero", *SUMS.values())

    def parse(self, entry: Entry) -> dict[str, Any]:
        return entry.matrix()

    def proofs(self, norm: str) -> tuple[str, ...]:
        return (SUMS[norm],) if norm in SUMS else self.methods[: -len(SUMS)]

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        if norm == "l2":
            return spectral_bound(layer.matrix, m, claim.method, claim.witness)
        axis = 1 if norm == "linf" else 0
        return m.largest_sum(abs(m.array(layer.matrix)), axis)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        self.linear.of(layer, state.arithmetic, state.m).step(layer, state, bound.value)
