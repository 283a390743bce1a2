"""What a convolution and its transpose share."""

import math

from ..linear import SUMS, Linear
from ._base import Any, Builder, Entry, Invalid, Layer, LayerBound, Operation, State
from ._kernel_bounds import Folded, proof_work
from ._kernels import absolute_sums, convolve, padded_size, terms_summed


class Kernel(Operation):
    """A linear operator on images, given by its kernel."""

    fields: tuple[str, ...] = ("weight", "bias", "stride", "padding", "dilation", "groups")
    methods = ("residual", "rows", "frequencies", "absolute sums", "zero", *SUMS.values())

    def geometry(self, entry: Entry, inputs_axis: int) -> dict[str, Any]:
        """Integers and kernel, with ``groups`` that divide the channels."""
        shape = entry.image()
        found: dict[str, Any] = {
            key: entry.whole(key, minimum=0 if key == "padding" else 1)
            for key in ("stride", "padding", "dilation", "groups")
        }
        weight, groups = entry.weight(), found["groups"]
        if weight.ndim != 4 or not weight.size:
            reason = f"expected float32 with 4 axes, found {weight.shape}"
            raise Invalid(f"{entry.at}.weight", reason)
        inputs = weight.shape[1] * groups if inputs_axis else weight.shape[0]
        if inputs != shape[0] or weight.shape[0] % groups:
            reason = f"found {list(weight.shape)} for {shape[0]} channels in {groups} groups"
            raise Invalid(f"{entry.at}.weight", reason)
        return {**found, "weight": weight}

    def proofs(self, norm: str) -> tuple[str, ...]:
        return (SUMS[norm],) if norm in SUMS else self.methods[: -len(SUMS)]

    def bound(self, layer: Layer, norm: str, m: Any, claim: LayerBound) -> Any:
        assert layer.weight is not None
        if claim.method == "zero":
            return m.upper(math.inf if layer.weight.any() else 0.0)
        rows, columns = absolute_sums(layer, m, abs(m.array(layer.weight)))
        if norm != "l2":
            return rows if norm == "linf" else columns
        if claim.method == "absolute sums":
            return m.root(rows * columns)
        kernel = Folded.of(layer, m)
        return m.root(kernel.square(claim.method, claim.witness)) * 2.0**kernel.exponent

    def work(self, layer: Layer, exact: bool) -> tuple[float, float]:
        """Products with patches, patches formed, and the image with what is put around it."""
        pixels, terms = math.prod(layer.out_shape[1:]), terms_summed(layer)
        moves = 4.0 * terms * layer.groups * pixels + 20.0 * padded_size(layer)
        return 2.0 * terms * layer.width, moves + super().work(layer, exact)[1]

    def proof_work(self, layer: Layer, norm: str, method: str) -> tuple[float, float]:
        products, moves = super().proof_work(layer, norm, method)
        if norm == "l2" and method in ("residual", "rows", "frequencies"):
            more = proof_work(layer, method)
            return products + more[0], moves + more[1]
        return products, moves

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """A dense layer with as many terms as taps and input channels of a group."""
        m = state.m

        def product(values: Any, kernel: Any) -> Any:
            return m.bilinear(
                lambda left, right: convolve(layer, left, right, m.multiply), values, kernel
            )

        linear = Linear.of(
            layer,
            state.arithmetic,
            m,
            terms_summed(layer),
            product,
            lambda machine, kernel: absolute_sums(layer, machine, kernel),
        )
        linear.step(layer, state, bound.value)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        assert layer.weight is not None
        attributes = {
            "kernel_shape": list(layer.weight.shape[2:]),
            "strides": [layer.stride] * 2,
            "pads": [layer.padding] * 4,
            "dilations": [layer.dilation] * 2,
            "group": layer.groups,
        }
        builder.node(self.node, builder.tensors(layer), attributes, output)
