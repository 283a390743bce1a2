"""``dense``: W x + b; its constant is the norm of W."""

import math

from ..linear import SUMS, Linear, spectral_bound
from ._base import Any, Entry, Layer, LayerBound, Operation, State, anything


class Dense(Operation):
    fields = {"weight": anything, "bias": anything}
    methods = ("residual", "cholesky", "frobenius", "zero", *SUMS.values())

    def parse(self, entry: Entry) -> dict[str, Any]:
        return entry.matrix()

    def proofs(self, norm: str) -> tuple[str, ...]:
        return (SUMS[norm],) if norm in SUMS else self.methods[: -len(SUMS)]

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        if claim.method == "zero":
            return m.upper(math.inf if layer.matrix.any() else 0.0)
        if norm != "l2":
            rows, columns = self.sums(layer, m, abs(m.array(layer.matrix)))
            return rows if norm == "linf" else columns
        return self.spectral(layer, m, claim)

    def spectral(self, layer: Layer, m: Any, claim: LayerBound) -> Any:
        """The bound in L2, of a weight that is not zero."""
        return spectral_bound(layer.matrix, m, claim.method, claim.witness)

    def terms(self, layer: Layer) -> int:
        """Products that one output adds up, at most; those with a weight of zero round nothing."""
        return int((layer.matrix != 0).reshape(len(layer.matrix), -1).sum(axis=1).max())

    def product(self, layer: Layer, m: Any, values: Any, weight: Any) -> Any:
        """``[N, n]`` times the operator with this weight."""
        return m.product(values, weight)

    def sums(self, layer: Layer, m: Any, absolute: Any) -> tuple[Any, Any]:
        """Bounds of the row sums and column sums of the operator with this weight."""
        return m.largest_sum(absolute, 1), m.largest_sum(absolute, 0)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        Linear.of(layer, state.arithmetic, state.m).step(layer, state, bound.value)
