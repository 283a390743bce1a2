"""``dense``: W x + b."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.linear import Linear
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import LayerBound, Operation
from lipsort_cli.verifier.parsing import Entry, tensor_names
from lipsort_cli.verifier.spectral import spectral_bound
from lipsort_cli.verifier.state import State


class Dense(Operation):
    """The constant is the norm of W: row sums, column sums, or a proven singular value."""

    fields = ("weight", "bias")
    methods = ("residual", "cholesky", "frobenius", "zero",
               "largest absolute row sum", "largest absolute column sum")  # fmt: skip

    def parse(self, entry: Entry) -> dict[str, Any]:
        """A matrix ``[out, in]`` and a vector ``[out]`` or null."""
        return entry.matrix()

    def describe(self, layer: Layer) -> dict[str, Any]:
        """Names of tensors."""
        return tensor_names(layer)

    def bound(
        self, layer: Layer, norm: str, m: Any, method: str = "", witness: float = 0.0
    ) -> LayerBound:
        """Upper bound of ``||W||`` from ``norm`` to ``norm``."""
        assert layer.weight is not None
        if norm == "l2":
            return LayerBound(layer.index, layer.op, *spectral_bound(layer.weight, method, witness))
        axis, name = (1, "row") if norm == "linf" else (0, "column")
        sums = m.largest_sum(abs(m.array(layer.weight)), axis)
        return LayerBound(layer.index, layer.op, sums.value, f"largest absolute {name} sum")

    def prove(self, layer: Layer, claim: LayerBound, norm: str, m: Any) -> bool:
        """The same inequalities in integers."""
        assert layer.weight is not None
        if norm == "l2":
            # The witness is in units of a power of two just above the largest entry.
            exponent = math.frexp(float(abs(layer.weight).max()))[1]
            center = Fraction(claim.witness) * Fraction(4) ** exponent
            proven = m.spectral(m.array(layer.weight), center, claim.method)
            return bool(proven <= m.upper(claim.value))
        sums = m.largest_sum(abs(m.array(layer.weight)), 1 if norm == "linf" else 0)
        return bool(sums <= m.upper(claim.value))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """A sum of products a row, in any order."""
        Linear.of(layer, state.arithmetic, state.m).step(layer, state, bound.value)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Gemm with the weight transposed."""
        assert layer.weight is not None
        inputs = builder.constant(layer, "weight", layer.weight)
        if layer.bias is not None:
            inputs += builder.constant(layer, "bias", layer.bias)
        builder.node("Gemm", inputs, {"transB": 1}, output)


OPERATION = Dense()
