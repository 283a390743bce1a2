"""ONNX graphs for tests: single nodes with every attribute there is, and random graphs of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


class Graph:
    """Collects nodes; ``batch``: None for a dynamic first axis."""

    def __init__(
        self,
        shape: Sequence[int],
        opset: int = 17,
        batch: int | None = None,
        kind: int = FLOAT,
        constants: str = "initialiser",
    ) -> None:
        self.shape, self.opset, self.batch, self.kind = tuple(shape), opset, batch, kind
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.constants = constants
        self.last = "x"

    def constant(self, values: Any, dtype: Any = None) -> str:
        """An initialiser, or a Constant node; its name."""
        array = np.asarray(values)
        if dtype is None:
            dtype = np.int64 if array.dtype.kind in "iu" else self.dtype
        tensor = numpy_helper.from_array(array.astype(dtype), f"c{len(self.tensors)}")
        self.tensors.append(tensor)
        if self.constants == "node":
            self.nodes.append(helper.make_node("Constant", [], [tensor.name], value=tensor))
        return str(tensor.name)

    @property
    def dtype(self) -> Any:
        return helper.tensor_dtype_to_np_dtype(self.kind)

    def node(self, op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> list[str]:
        """A node; inputs that are no names become constants, None is left out."""
        names = []
        for one in inputs:
            if one is None:
                names.append("")
            else:
                names.append(one if isinstance(one, str) else self.constant(one))
        count = sum(len(node.output) for node in self.nodes)
        made = [f"v{count + k}" for k in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, made, name=name, **given))
        self.last = made[0]
        return made

    def flag(self, value: bool) -> str:
        """A constant truth value."""
        return self.constant(np.array(value), np.bool_)

    def inside(self, name: str) -> Any:
        """A graph that returns what is called ``name`` outside of it."""
        made = f"inside{len(self.tensors)}.{len(self.nodes)}"
        info = helper.make_tensor_value_info(made, self.kind, None)
        return helper.make_graph([helper.make_node("Identity", [name], [made])], "in", [], [info])

    def model(self, output: str = "", flat: bool = True) -> Any:
        """The model, its output flattened."""
        last = output or self.last
        nodes = list(self.nodes)
        if flat:
            nodes.append(helper.make_node("Flatten", [last], ["y"], name="out", axis=1))
            last = "y"
        batch: Any = "N" if self.batch is None else self.batch
        graph = helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("x", self.kind, [batch, *self.shape])],
            [helper.make_tensor_value_info(last, self.kind, [None, None])],
            self.tensors if self.constants == "initialiser" else [],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8
        )


def random_graph(rng: np.random.Generator, deepest: int = 7) -> Any:
    """Nodes in a row, with skips; images, then flat."""
    shape = (int(rng.choice([2, 4])), int(rng.choice([4, 6, 8])), int(rng.choice([4, 6, 8])))
    graph = Graph(shape, opset=int(rng.choice([11, 13, 17, 18, 20])),
                  constants=str(rng.choice(["initialiser", "node"])))  # fmt: skip
    met: list[tuple[str, tuple[int, ...]]] = [("x", shape)]
    for _ in range(int(rng.integers(1, deepest + 1))):
        name, state = met[-1] if rng.random() < 0.8 else met[int(rng.integers(len(met)))]
        made = _step(graph, rng, name, state, met)
        if made is not None:
            met.append(made)
    name, state = met[-1]
    flat = graph.node("Flatten", name, axis=1)[0]
    weight = rng.standard_normal((5, int(np.prod(state)))) / np.sqrt(np.prod(state))
    graph.node("Gemm", flat, weight, rng.standard_normal(5), transB=1)
    return graph.model(flat=False)


def _step(
    graph: Graph,
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, ...],
    met: list[tuple[str, tuple[int, ...]]],
) -> tuple[str, tuple[int, ...]] | None:
    channels, height, width = shape
    pick = str(rng.choice(STEPS))

    def whole(*choices: int) -> int:
        return int(rng.choice(choices))

    if pick == "conv":
        groups = whole(*[g for g in (1, 2) if channels % g == 0])
        kernel, stride, dilation = [whole(1, 2, 3), whole(1, 2, 3)], whole(1, 1, 2), whole(1, 1, 2)
        strides = [stride, stride if rng.random() < 0.8 else whole(1, 2)]
        pads = [whole(0, 1, 2) for _ in range(4)] if rng.random() < 0.5 else [whole(0, 1)] * 4
        out = groups * whole(1, 2)
        weight = rng.standard_normal((out, channels // groups, *kernel))
        made = graph.node(
            "Conv", name, weight, rng.standard_normal(out), strides=strides, pads=pads,
            dilations=[dilation] * 2, group=groups,
        )  # fmt: skip
        sizes = [
            (size + pads[k] + pads[k + 2] - dilation * (kernel[k] - 1) - 1) // strides[k] + 1
            for k, size in enumerate((height, width))
        ]
        return _kept(graph, made[0], (out, *sizes))
    if pick == "transposed":
        stride, padding, kernel = whole(1, 2), whole(0, 1), whole(2, 3)
        extra = whole(0, 1) if stride == 2 else 0
        weight = rng.standard_normal((channels, 2, kernel, kernel))
        made = graph.node(
            "ConvTranspose", name, weight, rng.standard_normal(2), strides=[stride] * 2,
            pads=[padding] * 4, output_padding=[extra] * 2,
        )  # fmt: skip
        sizes = [(s - 1) * stride - 2 * padding + kernel + extra for s in (height, width)]
        return _kept(graph, made[0], (2, *sizes))
    if pick == "norm":
        c = rng.random((4, channels)) + 0.3
        made = graph.node("BatchNormalization", name, c[0], c[1], c[2], c[3], epsilon=1e-3)
        return made[0], shape
    if pick == "pointwise":
        op = str(rng.choice(["Relu", "Abs", "Tanh", "Sigmoid", "LeakyRelu", "Neg", "Identity"]))
        return graph.node(op, name)[0], shape
    if pick == "clip":
        ends = [None if rng.random() < 0.4 else value for value in (-0.4, 0.7)]
        return graph.node("Clip", name, *ends)[0], shape
    if pick == "constant":
        op = str(rng.choice(["Add", "Sub", "Mul", "Div"]))
        kind = rng.choice(["one", "channel", "all"])
        sizes = {"one": (1,), "channel": (channels, 1, 1), "all": shape}[str(kind)]
        values = rng.random(sizes) + 0.3
        return graph.node(op, *((name, values) if rng.random() < 0.7 or op == "Div" else
                                (values, name)))[0], shape  # fmt: skip
    if pick == "pool":
        op = str(rng.choice(["MaxPool", "AveragePool"]))
        kernel, stride, padding = whole(2, 3), whole(1, 2, 3), whole(0, 1)
        extra = {"ceil_mode": whole(0, 1)} if op == "MaxPool" else {}
        made = graph.node(op, name, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                          pads=[padding] * 4, **extra)  # fmt: skip
        sizes = []
        for size in (height, width):
            room = size + 2 * padding - kernel
            up = extra.get("ceil_mode", 0) and room % stride
            count = room // stride + 1
            sizes.append(count + (1 if up and count * stride < size + padding else 0))
        return _kept(graph, made[0], (channels, *sizes))
    if pick == "sort" and channels % 2 == 0:
        if rng.random() < 0.5:
            a, b = graph.node("Split", name, *_split(graph, channels), axis=1, outputs=2)
            pair = [graph.node("Max", a, b)[0], graph.node("Min", a, b)[0]]
            return graph.node("Concat", *pair[:: int(rng.choice([1, -1]))], axis=1)[0], shape
        count = np.array([channels])
        made = graph.node("TopK", name, count, axis=-3, largest=whole(0, 1), outputs=2)
        return made[0], shape
    if pick == "move":
        if rng.random() < 0.5:
            return graph.node("Transpose", name, perm=[0, 1, 3, 2])[0], (channels, width, height)
        flat = graph.node("Reshape", name, np.array([-1, height, channels, width]))[0]
        return flat, (height, channels, width)
    if pick == "pad":
        pads = [0, 0, whole(0, 1), whole(0, 2), 0, 0, whole(0, 1), whole(0, 1)]
        made = graph.node("Pad", name, np.array(pads))
        return made[0], (channels, height + pads[2] + pads[6], width + pads[3] + pads[7])
    if pick == "join":
        others = [other for other, own in met if own == shape]
        other = str(rng.choice(others))
        op = str(rng.choice(["Add", "Sub", "Concat", "Max"]))
        if op == "Concat":
            return graph.node("Concat", name, other, axis=1)[0], (2 * channels, height, width)
        return graph.node(op, name, other)[0], shape
    return None


STEPS = (
    *("conv", "conv", "transposed", "norm", "pointwise", "pointwise", "clip", "constant", "pool"),
    *("sort", "move", "pad", "join", "join"),
)


def _split(graph: Graph, channels: int) -> list[Any]:
    return [np.array([channels // 2] * 2)] if graph.opset >= 13 else []


def _kept(graph: Graph, name: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]] | None:
    """What was made, unless it is empty or large; then it is taken back."""
    if min(shape) >= 1 and np.prod(shape) <= 1500:
        return name, shape
    graph.nodes.pop()
    return None
