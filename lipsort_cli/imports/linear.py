"""Nodes that are linear, or add constants: products, convolutions, normalisation in evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsort_cli.imports.affine import Array, affine, convolution
from lipsort_cli.imports.model import Node
from lipsort_cli.imports.moves import Handler
from lipsort_cli.imports.states import ZERO, Trace, Value, natural

ONE, NOTHING = np.ones(1), np.zeros(1)


def product(trace: Trace, value: Value, node: Node, weight: Array) -> Value:
    """``x @ weight`` over the last axis, ``weight [in, out]``; a dense layer, or one a row."""
    *rows, inputs = value.shape
    count, outputs = math.prod(rows), weight.shape[1]
    if len(weight) != inputs:
        node.refuse(f"a product of {list(value.shape)} and {list(weight.shape)}")
    if count == 1:
        state = trace.settle(value, (inputs,), node.name)
        made = trace.state("dense", [state], (outputs,), node.name, weight.T)
        return Value.whole(made, (*rows, outputs))
    turned = value.at(value.places.reshape(count, inputs).T)
    image = trace.settle(turned, (inputs, count, 1), node.name)
    made = convolution(trace, image, node, weight.T[:, :, None, None])
    places = np.arange(made.width).reshape(outputs, count).T.reshape(*rows, outputs)
    return Value((made,), places)


def gemm(trace: Trace, node: Node) -> list[Value]:
    """alpha A B + beta C."""
    value, weight = node.value(), node.numbers(1)
    if node.get("transA", 0):
        value = value.at(value.places.T)
    if node.get("transB", 0):
        weight = weight.T
    if node.get("broadcast", 1) != 1 and node.version < 7:
        node.refuse("is of an operator set that does not broadcast")
    made = product(trace, value, node, weight * node.get("alpha", 1.0))
    if node.input(2) is not None:
        shift = node.numbers(2) * node.get("beta", 1.0)
        if np.broadcast_shapes(made.shape, shift.shape) != made.shape:
            node.refuse(f"adds {list(shift.shape)} to {list(made.shape)}")
        made = affine(trace, made, node, ONE, shift)
    return [made]


def matmul(trace: Trace, node: Node) -> list[Value]:
    """One of the two is a constant matrix (or vector)."""
    if _constant_factor(node) == 1:
        left, weight = node.value(), node.numbers(1)
        single = weight.ndim == 1
        if weight.ndim > 2 and math.prod(weight.shape[:-2]) == 1:
            weight = weight.reshape(weight.shape[-2:])
            if np.broadcast_shapes(left.shape[:-2], node.constant(1).shape[:-2]) != left.shape[:-2]:
                node.refuse("its constant has more axes than the value")
        if weight.ndim > 2:
            node.refuse(f"a constant of shape {list(weight.shape)}; allowed: a matrix")
        made = product(trace, left, node, weight[:, None] if single else weight)
        return [made.at(made.places[..., 0]) if single else made]
    weight, value = node.numbers(0), node.value(1)
    if weight.ndim != 2 or len(value.shape) < 2:
        node.refuse(f"a constant of shape {list(weight.shape)} on the left; allowed: a matrix")
    made = product(trace, value.at(value.places.swapaxes(-1, -2)), node, weight.T)
    return [made.at(made.places.swapaxes(-1, -2))]


@dataclass
class Window:
    """Where a kernel goes: a number an axis, image axes two."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[tuple[int, int]]

    @classmethod
    def of(cls, node: Node, sizes: Sequence[int], kernel: Sequence[int]) -> Window:
        """From a node's attributes; ``sizes`` of the image."""
        axes = len(kernel)
        declared = node.get("kernel_shape", None)
        if declared is not None and list(declared) != list(kernel):
            node.refuse(f"kernel_shape {declared} of a kernel {list(kernel)}")
        strides, dilations = (list(node.get(k, [1] * axes)) for k in ("strides", "dilations"))
        pads = list(node.get("pads", [0] * (2 * axes)))
        if min([*strides, *dilations]) < 1 or len(pads) != 2 * axes or min(pads) < 0:
            node.refuse(f"strides {strides}, dilations {dilations}, pads {pads}")
        pairs = list(zip(pads[:axes], pads[axes:], strict=True))
        auto = node.get("auto_pad", "NOTSET")
        if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            node.refuse(f"auto_pad {auto}")
        if auto != "NOTSET" and any(pads):
            node.refuse(f"both auto_pad {auto} and pads {pads}")
        if auto.startswith("SAME"):
            pairs = []
            for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
                total = (-(-size // s) - 1) * s + d * (k - 1) + 1 - size
                if total < -1:
                    node.refuse(f"auto_pad {auto} that takes away: runtimes disagree about where")
                total = max(total, 0)
                small, large = total // 2, total - total // 2
                pairs.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return cls(list(kernel), strides, dilations, pairs)

    def as_image(self) -> Window:
        """With an axis of one pixel in front where there is only one."""
        if len(self.kernel) == 2:
            return self
        return Window([1, *self.kernel], [self.strides[0], *self.strides],
                      [self.dilations[0], *self.dilations], [(0, 0), *self.pads])  # fmt: skip


def image(value: Value, node: Node) -> Value:
    """A value ``[1, C, H, W]``, or ``[1, C, L]`` as an image of one row."""
    if len(value.shape) == 3:
        value = value.at(value.places[:, :, None, :])
    if len(value.shape) != 4 or value.shape[0] != 1:
        node.refuse(f"takes {list(value.shape)}; understood are one or two axes behind channels")
    return value


def padded(value: Value, pads: Sequence[tuple[int, int]]) -> Value:
    """Zeros around the last axes."""
    rest = [(0, 0)] * (len(value.shape) - len(pads))
    return value.at(np.pad(value.places, [*rest, *pads], constant_values=ZERO))


def spread(weight: Array, dilations: Sequence[int]) -> Array:
    """The kernel with the zeros of its dilations written out."""
    *_, height, width = weight.shape
    sizes = [d * (k - 1) + 1 for d, k in zip(dilations, (height, width), strict=True)]
    found = np.zeros((*weight.shape[:2], *sizes))
    found[..., :: dilations[0], :: dilations[1]] = weight
    return found


def _with_kernel(node: Node) -> tuple[Value, Array, Array | None, Window, bool]:
    """Image, kernel, bias and window of a convolution; whether it had one axis only."""
    value, weight = node.value(), node.numbers(1)
    flat = len(value.shape) == 3
    if weight.ndim != len(value.shape):
        node.refuse(f"a kernel of shape {list(weight.shape)} for {list(value.shape)}")
    window = Window.of(node, value.shape[2:], weight.shape[2:]).as_image()
    bias = None if node.input(2) is None else node.numbers(2)
    return image(value, node), weight[:, :, None, :] if flat else weight, bias, window, flat


def conv(trace: Trace, node: Node) -> list[Value]:
    """One or two axes; whatever pads, strides and dilations."""
    value, weight, bias, window, flat = _with_kernel(node)
    made = _convolved(trace, value, node, weight, bias, window)
    return [made.at(made.places[:, :, 0]) if flat else made]


def _convolved(
    trace: Trace, value: Value, node: Node, weight: Array, bias: Array | None, window: Window
) -> Value:
    (first, second), groups = window.dilations, node.get("group", 1)
    if first != second:
        weight, first = spread(weight, window.dilations), 1
    same = {side for pair in window.pads for side in pair}
    padding, mode = same.pop() if len(same) == 1 else 0, "zeros"
    if not padding:
        value = padded(value, window.pads)
    stride = math.gcd(*window.strides)
    around = None if padding else _around(value, window, stride)
    if around is not None:
        (value, padding), mode = around, "circular"
    state = trace.settle(value, natural(value.shape), node.name)
    made = convolution(trace, state, node, weight, bias, stride, padding, first, groups, mode)
    if groups == 1 and state.shape[1:] == weight.shape[2:] != (1, 1) and not padding:
        # One window that is all there is: a matrix, whose norm is known exactly.
        flat = trace.settle(Value.whole(state, state.shape), (state.width,), node.name)
        matrix = weight.reshape(len(weight), -1)
        made = trace.state("dense", [flat], (len(weight),), node.name, matrix, bias)
        return Value.whole(made, (1, len(weight), 1, 1))
    # Of unequal strides: some of the outputs of a common one.
    whole = Value.whole(made, (1, *made.shape))
    down, across = (s // stride for s in window.strides)
    return whole.at(whole.places[:, :, ::down, ::across])


def _around(value: Value, window: Window, stride: int) -> tuple[Value, int] | None:
    """The image that ``value`` pads periodically, and by how much; None where it does not.

    Only where an output cannot occur twice: what is left is the layer of lipsort that knows it.
    """
    sizes = value.shape[2:]
    for padding in range(1, min(sizes) // 3 + 1):
        inner = value.places[:, :, padding:-padding, padding:-padding]
        wrapped = np.pad(inner, [(0, 0)] * 2 + [(padding, padding)] * 2, mode="wrap")
        if np.array_equal(wrapped, value.places):
            for size, k, d in zip(sizes, window.kernel, window.dilations, strict=True):
                inside = size - 2 * padding
                if inside % stride or (size - d * (k - 1) - 1) // stride + 1 > inside // stride:
                    return None
            return value.at(inner), padding
    return None


def conv_transpose(trace: Trace, node: Node) -> list[Value]:
    """The transpose of a convolution, with output padding; strides the same on both axes."""
    if node.get("output_shape", None) or node.get("auto_pad", "NOTSET") != "NOTSET":
        node.refuse("its pads follow from output_shape or auto_pad; write them out as pads")
    value, weight, bias, window, flat = _with_kernel(node)
    extra = [0] * flat + list(node.get("output_padding", [0] * (2 - flat)))
    dilation, stride = window.dilations[0], window.strides[0]
    if len(set(window.dilations)) > 1:
        weight, dilation = spread(weight, window.dilations), 1
    if len(set(window.strides)) > 1:
        node.refuse(f"strides {window.strides}; understood are equal ones")
    same = {side for pair in window.pads for side in pair}
    padding = same.pop() if len(same) == 1 and not any(extra) else 0
    pads = [(0, 0)] * 2 if padding else window.pads
    full = [
        (size - 1) * stride + dilation * (k - 1) + 1 - 2 * padding
        for size, k in zip(value.shape[2:], weight.shape[2:], strict=True)
    ]
    ends = [f - after + more for f, (_, after), more in zip(full, pads, extra, strict=True)]
    beyond = any(end > f for end, f in zip(ends, full, strict=True))
    groups = node.get("group", 1)
    state = trace.settle(value, natural(value.shape), node.name)
    shape = (weight.shape[1] * groups, *full)
    made = trace.state(
        "transposed_convolution", [state], shape, node.name, weight, None if beyond else bias,
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip
    result = padded(
        Value.whole(made, (1, *shape)),
        [(0, max(end - f, 0)) for end, f in zip(ends, full, strict=True)],
    )
    (top, _), (left, _) = pads
    result = result.at(result.places[:, :, top : ends[0], left : ends[1]])
    if beyond and bias is not None:
        result = affine(trace, result, node, ONE, bias.reshape(1, -1, 1, 1))
    return [result.at(result.places[:, :, 0]) if flat else result]


def batch_normalization(trace: Trace, node: Node) -> list[Value]:
    """In evaluation: a scale and a shift a channel."""
    value = node.value()
    if node.get("training_mode", 0) or [name for name in node.outputs[1:] if name]:
        node.refuse("is in training mode: it depends on the other inputs of a batch")
    if not node.get("spatial", 1):
        node.refuse("normalises every pixel on its own")
    gamma, beta, mean, variance = (node.numbers(place) for place in (1, 2, 3, 4))
    channels = value.shape[1:2]
    if found := [a.shape for a in (gamma, beta, mean, variance) if a.shape != channels]:
        node.refuse(f"has constants of shape {list(found[0])}; allowed: {list(channels)}")
    if (variance + node.get("epsilon", 1e-5) <= 0).any():
        node.refuse("a variance is negative")
    scale = gamma / np.sqrt(variance + node.get("epsilon", 1e-5))
    shape = (1, -1, *[1] * (len(value.shape) - 2))
    return [affine(trace, value, node, scale.reshape(shape), (beta - mean * scale).reshape(shape))]


def multiply(trace: Trace, node: Node) -> list[Value]:
    """A value and a constant."""
    place = _constant_factor(node)
    return [affine(trace, node.value(1 - place), node, node.numbers(place), NOTHING)]


def _constant_factor(node: Node) -> int:
    """Which of two factors does not depend on the input."""
    first, second = (isinstance(node.input(place), Value) for place in (0, 1))
    if first and second:
        node.refuse("multiplies two values that both depend on the input: no constant bounds that")
    return 1 if first else 0


def divide(trace: Trace, node: Node) -> list[Value]:
    """A value by a constant."""
    return [affine(trace, node.value(), node, ONE, NOTHING, node.numbers(1))]


def negate(trace: Trace, node: Node) -> list[Value]:
    """-x."""
    return [affine(trace, node.value(), node, -ONE, NOTHING)]


LINEAR: dict[str, Handler] = {
    "Gemm": gemm,
    "MatMul": matmul,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "BatchNormalization": batch_normalization,
    "Div": divide,
    "Neg": negate,
}
