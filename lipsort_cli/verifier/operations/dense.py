"""``dense``: W x + b."""

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

    def bound(self, layer: Layer, norm: str, m: Any, hint: LayerBound) -> tuple[Any, str, float]:
        assert layer.weight is not None
        if norm == "l2":
            return spectral_bound(layer.weight, m, hint.method, hint.witness)
        axis, name = (1, "row") if norm == "linf" else (0, "column")
        sums = m.largest_sum(abs(m.array(layer.weight)), axis)
        return sums, f"largest absolute {name} sum", 0.0

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        Linear.of(layer, state.arithmetic, state.m).step(layer, state, bound.value)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        builder.node("Gemm", builder.tensors(layer), {"transB": 1}, output)
