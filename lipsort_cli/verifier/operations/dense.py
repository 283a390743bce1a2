"""``dense``: W x + b."""

import math
from fractions import Fraction

from ..linear import Linear
from ..spectral import spectral_bound
from ._base import Any, Builder, Entry, Layer, LayerBound, Operation, State


class Dense(Operation):
    """The constant is the norm of W: row sums, column sums, or a proven singular value."""

    fields = ("weight", "bias")
    methods = ("residual", "cholesky", "frobenius", "zero",
               "largest absolute row sum", "largest absolute column sum")  # fmt: skip

    def parse(self, entry: Entry) -> dict[str, Any]:
        return entry.matrix()

    def bound(
        self, layer: Layer, norm: str, m: Any, method: str = "", witness: float = 0.0
    ) -> LayerBound:
        assert layer.weight is not None
        if norm == "l2":
            return LayerBound(layer.index, layer.op, *spectral_bound(layer.weight, method, witness))
        name = "row" if norm == "linf" else "column"
        sums = self._sums(layer, norm, m).value
        return LayerBound(layer.index, layer.op, sums, f"largest absolute {name} sum")

    def prove(self, layer: Layer, claim: LayerBound, norm: str, m: Any) -> bool:
        assert layer.weight is not None
        if norm != "l2":
            return bool(self._sums(layer, norm, m) <= m.upper(claim.value))
        # The witness is in units of a power of two just above the largest entry.
        exponent = math.frexp(float(abs(layer.weight).max()))[1]
        center = Fraction(claim.witness) * Fraction(4) ** exponent
        proven = m.spectral(m.array(layer.weight), center, claim.method)
        return bool(proven <= m.upper(claim.value))

    def _sums(self, layer: Layer, norm: str, m: Any) -> Any:
        return m.largest_sum(abs(m.array(layer.weight)), 1 if norm == "linf" else 0)

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        Linear.of(layer, state.arithmetic, state.m).step(layer, state, bound.value)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        builder.node("Gemm", builder.tensors(layer), {"transB": 1}, output)
