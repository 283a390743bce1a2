"""Nodes with every attribute: imported as ONNX Runtime computes them, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import Graph, random_graph  # noqa: E402

from lipsort_cli.errors import UsageError  # noqa: E402
from lipsort_cli.imports import run as comparing  # noqa: E402
from lipsort_cli.imports.model import Refused, checked, read_model  # noqa: E402
from lipsort_cli.imports.network import Imported, import_network  # noqa: E402
from lipsort_cli.imports.run import compare, random_inputs  # noqa: E402

RNG = np.random.default_rng(0)
IMAGE = (2, 5, 6)
Build = Callable[[Graph], Any]


def imported(model: Any, shape: tuple[int, ...] | None = None) -> Imported:
    """The network, compared with ONNX Runtime at random inputs."""
    onnx.checker.check_model(model, full_check=True)
    read = checked(model, "test", "0", shape)
    found = import_network(read)
    compare(read, found.network, random_inputs(read.shape, 6, 0))
    return found


def kernel(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


UNDERSTOOD: dict[str, tuple[tuple[int, ...], Build]] = {
    "Conv, asymmetric pads": (
        IMAGE, lambda g: g.node("Conv", "x", kernel(3, 2, 3, 2), kernel(3), pads=[0, 1, 2, 0])),
    "Conv, unequal strides": (
        IMAGE, lambda g: g.node("Conv", "x", kernel(3, 2, 2, 2), strides=[1, 2], pads=[1] * 4)),
    "Conv, unequal dilations": (
        IMAGE, lambda g: g.node("Conv", "x", kernel(3, 2, 2, 3), dilations=[3, 2])),
    "Conv, groups": (IMAGE, lambda g: g.node("Conv", "x", kernel(4, 1, 3, 3), group=2)),
    "Conv, SAME_UPPER": (
        IMAGE, lambda g: g.node("Conv", "x", kernel(3, 2, 4, 3), strides=[2, 2],
                                auto_pad="SAME_UPPER")),
    "Conv, SAME_LOWER": (
        IMAGE, lambda g: g.node("Conv", "x", kernel(3, 2, 4, 3), strides=[2, 2],
                                auto_pad="SAME_LOWER")),
    # ONNX Runtime refuses to run it; onnx's own evaluator does.
    "Conv, SAME_UPPER, dilations": (
        IMAGE,
        lambda g: g.node("Conv", "x", kernel(3, 2, 3, 3), auto_pad="SAME_UPPER", dilations=[2, 2]),
    ),
    "Conv, VALID": (IMAGE, lambda g: g.node("Conv", "x", kernel(3, 2, 2, 3), auto_pad="VALID")),
    "Conv, one window": (IMAGE, lambda g: g.node("Conv", "x", kernel(3, 2, 5, 6), kernel(3))),
    "Conv, one window of several pixels": (
        (2, 3, 3), lambda g: g.node("Conv", "x", kernel(3, 2, 2, 2), strides=[2, 2])),
    "Conv, 1-D": (
        (2, 9), lambda g: g.node("Conv", "x", kernel(3, 2, 3), kernel(3), pads=[2, 1],
                                 strides=[2], dilations=[2])),
    "Conv of periodic pads": (
        IMAGE, lambda g: g.node("Conv", g.node("Pad", "x", np.array([0, 0, 1, 1, 0, 0, 1, 1]),
                                               mode="wrap")[0], kernel(3, 2, 3, 3))),
    "Conv of reflections": (
        IMAGE, lambda g: g.node("Conv", g.node("Pad", "x", np.array([0, 0, 2, 1, 0, 0, 0, 1]),
                                               mode="reflect")[0], kernel(3, 2, 3, 3))),
    "ConvTranspose, output_padding": (
        IMAGE, lambda g: g.node("ConvTranspose", "x", kernel(2, 3, 3, 3), kernel(3), pads=[1] * 4,
                                strides=[2, 2], output_padding=[1, 1])),
    "ConvTranspose, output_padding beyond the kernel": (
        IMAGE, lambda g: g.node("ConvTranspose", "x", kernel(2, 3, 2, 2), kernel(3),
                                strides=[3, 3], output_padding=[2, 1])),
    "ConvTranspose, asymmetric pads": (
        IMAGE, lambda g: g.node("ConvTranspose", "x", kernel(2, 3, 3, 4), pads=[0, 1, 2, 1])),
    "ConvTranspose, groups, dilations": (
        IMAGE, lambda g: g.node("ConvTranspose", "x", kernel(2, 2, 2, 3), kernel(4), group=2,
                                dilations=[1, 2])),
    "ConvTranspose, 1-D": (
        (2, 7), lambda g: g.node("ConvTranspose", "x", kernel(2, 3, 4), strides=[2], pads=[1, 1],
                                 output_padding=[1])),
    "Gemm, alpha, beta": (
        (6,), lambda g: g.node("Gemm", "x", kernel(6, 4), kernel(4), alpha=0.5, beta=-2.0)),
    "Gemm, transB, scalar": ((6,), lambda g: g.node("Gemm", "x", kernel(4, 6), 0.5, transB=1)),
    "Gemm without C": ((6,), lambda g: g.node("Gemm", "x", kernel(6, 4))),
    "MatMul": ((6,), lambda g: g.node("MatMul", "x", kernel(6, 4))),
    "MatMul with a vector": ((3, 6), lambda g: g.node("MatMul", "x", kernel(6))),
    "MatMul over rows": ((3, 6), lambda g: g.node("MatMul", "x", kernel(6, 4))),
    "MatMul over images": (IMAGE, lambda g: g.node("MatMul", "x", kernel(1, 1, 6, 4))),
    "MatMul from the left": ((3, 6), lambda g: g.node("MatMul", kernel(4, 3), "x")),
    "Clip without min": (IMAGE, lambda g: g.node("Clip", "x", None, 0.5)),
    "Clip without max": (IMAGE, lambda g: g.node("Clip", "x", -0.25)),
    "Clip above zero, after pads": (
        IMAGE, lambda g: g.node("Clip", g.node("Pad", "x", np.array([0, 0, 1, 0, 0, 0, 0, 1]))[0],
                                0.25, 0.75)),
    "Sigmoid after pads": (
        IMAGE, lambda g: g.node("Sigmoid", g.node("Pad", "x", np.array([0, 0, 1, 0] * 2))[0])),
    "Pad, negative": (IMAGE, lambda g: g.node("Pad", "x", np.array([0, 0, -1, 2, 0, 1, 0, -1]))),
    "Pad, axes": (IMAGE, lambda g: g.node("Pad", "x", np.array([1, 2]), None, np.array([-1]))),
    "MaxPool, pads, dilations, ceil_mode": (
        IMAGE, lambda g: g.node("MaxPool", "x", kernel_shape=[2, 3], pads=[1, 0, 1, 1],
                                dilations=[2, 1], strides=[2, 2], ceil_mode=1)),
    "MaxPool, SAME_UPPER": (
        IMAGE, lambda g: g.node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2],
                                auto_pad="SAME_UPPER")),
    "MaxPool, 1-D": ((2, 9), lambda g: g.node("MaxPool", "x", kernel_shape=[3], strides=[2])),
    "AveragePool, pads not counted": (
        IMAGE, lambda g: g.node("AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4)),
    "AveragePool, pads counted": (
        IMAGE, lambda g: g.node("AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4,
                                count_include_pad=1)),
    "AveragePool, asymmetric": (
        IMAGE, lambda g: g.node("AveragePool", "x", kernel_shape=[2, 3], pads=[1, 0, 0, 2],
                                strides=[2, 1])),
    "AveragePool, ceil_mode": (
        IMAGE, lambda g: g.node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2],
                                ceil_mode=1)),
    "GlobalAveragePool": (IMAGE, lambda g: g.node("GlobalAveragePool", "x")),
    "GlobalMaxPool": (IMAGE, lambda g: g.node("GlobalMaxPool", "x")),
    "LpPool": (IMAGE, lambda g: g.node("LpPool", "x", kernel_shape=[2, 2], strides=[1, 1], p=2)),
    "ReduceMean over channels": (IMAGE, lambda g: g.node("ReduceMean", "x", axes=[1])),
    "ReduceMean over pixels": (
        IMAGE, lambda g: g.node("ReduceMean", "x", axes=[-1, -2], keepdims=0)),
    "ReduceMax over many": (IMAGE, lambda g: g.node("ReduceMax", "x", axes=[2, 3])),
    "ReduceMin over many": (IMAGE, lambda g: g.node("ReduceMin", "x", axes=[2, 3])),
    "less its mean": (
        IMAGE, lambda g: g.node("Sub", "x", g.node("ReduceMean", "x", axes=[2, 3])[0])),
    "TopK, negative axis": (
        (4, 6), lambda g: g.node("TopK", "x", np.array([6]), axis=-1, largest=1, outputs=2)),
    "TopK, some, smallest first": (
        (4, 6), lambda g: g.node("TopK", "x", np.array([2]), axis=1, largest=0, outputs=2)),
    "Max of three": (
        IMAGE, lambda g: g.node("Max", "x", g.node("Neg", "x")[0], np.array(0.1))),
    "Min with a constant": (IMAGE, lambda g: g.node("Min", np.array([0.5]), "x")),
    "Max with a constant of more axes": (
        (4,), lambda g: g.node("Max", g.node("Flatten", "x")[0], np.zeros((1, 3, 4)))),
    "a constant less x": (IMAGE, lambda g: g.node("Sub", kernel(2, 1, 1), "x")),
    "a factor a number": (IMAGE, lambda g: g.node("Mul", "x", kernel(*IMAGE))),
    "over a negative number": (IMAGE, lambda g: g.node("Div", "x", np.array([-3.0]))),
    "less a mean, over a deviation": (
        IMAGE, lambda g: g.node("Div", g.node("Sub", "x", kernel(2, 1, 1))[0],
                                np.abs(kernel(2, 1, 1)) + 1)),
    "relu(x) beside relu(-x)": (
        IMAGE, lambda g: g.node("Concat", g.node("Relu", "x")[0], g.node(
            "Relu", g.node("Neg", "x")[0])[0], axis=1)),
    "x + x": (IMAGE, lambda g: g.node("Add", "x", "x")),
    "a sum of rows and columns": (
        IMAGE, lambda g: g.node("Add", g.node("ReduceMax", "x", axes=[2])[0],
                                g.node("ReduceMax", "x", axes=[3])[0])),
    "BatchNormalization of a vector": (
        (4,), lambda g: g.node("BatchNormalization", "x", *(np.abs(kernel(4, 4)) + 0.1))),
    "Gather, a channel twice": (
        IMAGE, lambda g: g.node("Gather", "x", np.array([1, 0, 1]), axis=1)),
    "Slice, backwards": (
        IMAGE, lambda g: g.node("Slice", "x", np.array([5]), np.array([-10]), np.array([3]),
                                np.array([-2]))),
    "DepthToSpace, CRD": (
        (8, 2, 3), lambda g: g.node("DepthToSpace", "x", blocksize=2, mode="CRD")),
    "SpaceToDepth": ((2, 4, 6), lambda g: g.node("SpaceToDepth", "x", blocksize=2)),
    "Expand": ((3, 1, 2), lambda g: g.node("Expand", "x", np.array([1, 3, 4, 2]))),
    "Concat with zeros": (IMAGE, lambda g: g.node("Concat", "x", np.zeros((1, 2, 5, 6)), axis=1)),
    "Shape, Gather, Concat, Reshape": (
        IMAGE, lambda g: g.node("Reshape", "x", g.node(
            "Concat", g.node("Unsqueeze", g.node("Gather", g.node("Shape", "x")[0],
                                                 np.array(0))[0], np.array([0]))[0],
            np.array([-1]), axis=0)[0])),
    "Shape but for the batch, computed with": (
        IMAGE, lambda g: g.node("Mul", "x", g.node("Cast", g.node("Gather", g.node("Shape", "x")[0],
                                                                  np.array([1]))[0], to=1)[0])),
    "PRelu, one slope": (IMAGE, lambda g: g.node("PRelu", "x", np.array([[[0.2]]]))),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_is_understood_computes_the_same(name: str) -> None:
    shape, build = UNDERSTOOD[name]
    batch = 1 if name in ("Concat with zeros", "Max with a constant of more axes") else None
    opset = 19 if "periodic" in name else 18 if name == "Pad, axes" else 17
    for constants in ("initialiser", "node"):
        graph = Graph(shape, opset, batch, constants=constants)
        build(graph)
        imported(graph.model())


def size(graph: Graph) -> str:
    """The size of the batch, as one number in a row."""
    return graph.node("Slice", graph.node("Shape", "x")[0], np.array([0]), np.array([1]))[0]


def rows(graph: Graph, value: float = 0.0) -> str:
    """As many rows of four equal numbers as the batch has."""
    shape = graph.node("Concat", size(graph), np.array([4]), axis=0)[0]
    return graph.node("Expand", np.array([[value]]), shape)[0]


ROWS: dict[str, Build] = {
    "Expand": lambda g: g.node("Add", "x", rows(g, 0.5)),
    "ConstantOfShape": lambda g: g.node("Sub", "x", g.node(
        "ConstantOfShape", g.node("Concat", size(g), np.array([4]), axis=0)[0])[0]),
    "of constants": lambda g: g.node("Add", g.node("Mul", rows(g, 0.5), np.array([[
        1.0, 2.0, -1.0, 0.0]]))[0], "x"),
    "beside": lambda g: g.node("Concat", "x", rows(g), axis=1),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_are_all_alike_are_one_constant(name: str) -> None:
    graph = Graph((4,), 17, None)
    ROWS[name](graph)
    imported(graph.model())


REFUSED: dict[str, tuple[tuple[int, ...], Build, str]] = {
    "the batch's size, added": (
        (4,), lambda g: g.node("Add", "x", g.node("Cast", g.node(
            "Equal", size(g), np.array([2]))[0], to=1)[0]), "Add.*input 1 is computed from the"),
    "the batch's size, chosen by": (
        (4,), lambda g: g.node("Gather", "x", g.node("Mod", size(g), np.array([2]))[0], axis=1),
        "Gather.*size of the batch"),
    "the batch's size, not as rows": (
        (4,), lambda g: g.node("Reshape", "x", g.node("Concat", np.array([-1]), size(g), np.array(
            [4]), axis=0)[0]), "Reshape.*size of the batch"),
    "the batch's size, another number of rows": (
        (4,), lambda g: g.node("Reshape", "x", g.node("Concat", g.node(
            "Mod", size(g), np.array([3]))[0], np.array([-1]), axis=0)[0]), "Reshape.*size of the"),
    "as many zeros as inputs, counted": (
        (4,), lambda g: g.node("Add", "x", g.node("ReduceSum", g.node(
            "ConstantOfShape", size(g))[0], np.array([0]))[0]), "Add.*size of the batch"),
    "rows, cut": (
        (4,), lambda g: g.node("Add", "x", g.node("Slice", rows(g), np.array([0]), np.array([1]))[
            0]), "Add.*size of the batch"),
    "rows, one below the other": (
        (4,), lambda g: g.node("Concat", "x", rows(g), axis=0), "Concat.*size of the batch"),
    "rows along another axis": (
        (3, 4), lambda g: g.node("Add", "x", rows(g)), "Add.*size of the batch"),
    "rows that are counted": (
        (4,), lambda g: g.node("Add", "x", g.node("ReduceSum", rows(g, 1.0), np.array([0]))[0]),
        "Add.*size of the batch"),
    "the batch's size behind another axis": (
        (4,), lambda g: g.node("Add", "x", g.node("Cast", g.node("Equal", g.node(
            "Gather", g.node("Shape", g.node("Unsqueeze", "x", np.array([0]))[0])[0],
            np.array([1]))[0], np.array([2]))[0], to=1)[0]), "Add.*input 1 is computed from the"),
    "the batch's size, all inputs in one row": (
        (4,), lambda g: g.node("Add", "x", g.node("Cast", g.node("Equal", g.node(
            "Gather", g.node("Shape", g.node("Reshape", "x", np.array([1, -1]))[0])[0],
            np.array([1]))[0], np.array([8]))[0], to=1)[0]), "Add.*input 1 is computed from the"),
    "a constant of random zeros": (
        (4,), lambda g: g.node("Mul", "x", g.node("Dropout", np.ones(4), 0.5, g.flag(True))[0]),
        "Dropout.*random"),
    "a graph inside a node": (
        (4,), lambda g: g.node("Add", "x", g.node("If", g.flag(True), then_branch=g.inside("x"),
                                                  else_branch=g.inside("x"))[0]),
        "If.*a graph of its own"),
    "pads that take away": (
        (1, 4), lambda g: g.node("Conv", "x", kernel(1, 1, 1), strides=[4], auto_pad="SAME_UPPER"),
        "Conv.*runtimes disagree"),
    "pads of spread windows": (
        (1, 7), lambda g: g.node("MaxPool", "x", kernel_shape=[2], dilations=[2],
                                 auto_pad="SAME_UPPER"), "MaxPool.*runtimes disagree"),
    "numbers of all inputs, counted": (
        (4,), lambda g: g.node("Add", "x", g.node("Cast", g.node("Size", "x")[0], to=1)[0]),
        "Add.*size of the batch"),
    "products": (IMAGE, lambda g: g.node("Mul", "x", g.node("Relu", "x")[0]), "Mul.*two values"),
    "attention": ((3, 3), lambda g: g.node("MatMul", "x", "x"), "MatMul.*two values"),
    "squares": (IMAGE, lambda g: g.node("Mul", "x", "x"), "square has no Lipschitz"),
    "roots": (IMAGE, lambda g: g.node("Sqrt", "x"), "Sqrt.*means of squares"),
    "softmax": ((4,), lambda g: g.node("Softmax", "x"), "Softmax.*logits"),
    "exp": (IMAGE, lambda g: g.node("Exp", "x"), "Exp.*not understood; understood are Abs, Add"),
    "constant over x": (IMAGE, lambda g: g.node("Div", np.ones(1), "x"), "Div.*constant"),
    "over zero": (IMAGE, lambda g: g.node("Div", "x", np.zeros(1)), "Div.*by zero"),
    "ones around": (
        IMAGE, lambda g: g.node("Pad", "x", np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.array(1.0)),
        "Pad.*pads with 1"),
    "constants beside": (
        IMAGE, lambda g: g.node("Concat", "x", np.ones((1, 1, 5, 6)), axis=1), "Concat.*not zero"),
    "slopes": (IMAGE, lambda g: g.node("PRelu", "x", kernel(2, 1, 1)), "PRelu.*several slopes"),
    "indices": (
        (4, 6), lambda g: g.node("Cast", g.node("TopK", "x", np.array([6]), outputs=2)[1], to=1),
        "Cast.*not understood"),
    "three axes": (
        (2, 4, 4, 4), lambda g: g.node("Conv", "x", kernel(2, 2, 3, 3, 3)), "Conv.*two axes"),
    "output_shape": (
        IMAGE, lambda g: g.node("ConvTranspose", "x", kernel(2, 3, 3, 3), strides=[2, 2],
                                output_shape=[10, 12]), "ConvTranspose.*output_shape"),
    "unequal transposed strides": (
        IMAGE, lambda g: g.node("ConvTranspose", "x", kernel(2, 3, 3, 3), strides=[1, 2]),
        "ConvTranspose.*strides"),
    "counted beyond pads": (
        IMAGE, lambda g: g.node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2],
                                ceil_mode=1, count_include_pad=1), "AveragePool.*ceil_mode"),
    "layer norm": (
        (6,), lambda g: g.node("LayerNormalization", "x", kernel(6)), "LayerNorm.*divides"),
    "half": (
        IMAGE, lambda g: g.node("Cast", g.node("Cast", "x", to=10)[0], to=1), "Cast.*float32"),
    "batch norm that trains": (
        (4,), lambda g: g.node("BatchNormalization", "x", *(np.abs(kernel(4, 4)) + 0.1),
                               training_mode=1, outputs=3), "BatchNormalization.*training"),
    "batch norm of other channels": (
        (4,), lambda g: g.node("BatchNormalization", "x", *(np.abs(kernel(4, 3)) + 0.1)),
        r"BatchNormalization.*shape \[3\]; allowed: \[4\]"),
    "batch norm of one channel for all": (
        (4,), lambda g: g.node("BatchNormalization", "x", *(np.abs(kernel(4, 1)) + 0.1)),
        r"BatchNormalization.*shape \[1\]; allowed: \[4\]"),
    "shapes that do not broadcast": (
        (4,), lambda g: g.node("Mul", "x", kernel(3)), "Mul.*do not fit together"),
    "quantised": (
        (4,), lambda g: g.node("DynamicQuantizeLinear", "x", outputs=3),
        "DynamicQuantizeLinear.*before quantisation"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_named(name: str) -> None:
    shape, build, words = REFUSED[name]
    graph = Graph(shape)
    build(graph)
    with pytest.raises(Refused, match=f"(?s){words}"):
        import_network(checked(graph.model(), "test", "0"))


@pytest.mark.parametrize("opset", [9, 10, 11, 13, 18, 21])
def test_operator_sets_spell_the_same_differently(opset: int) -> None:
    graph = Graph(IMAGE, opset)
    old = opset < 11
    axes = {"axes": [2]} if opset < 18 else {}
    graph.node("Pad", "x", *(() if old else (np.array([0, 0, 1, 0, 0, 0, 0, 1]),)),
               pads=[0, 0, 1, 0, 0, 0, 0, 1] if old else None)  # fmt: skip
    graph.node("Clip", graph.last, *(() if old else (-0.5, 0.5)), min=-0.5 if old else None,
               max=0.5 if old else None)  # fmt: skip
    graph.node("ReduceMean", graph.last, *(() if axes else (np.array([2]),)), keepdims=0, **axes)
    if opset < 13:
        graph.node("Unsqueeze", graph.last, axes=[2])
    else:
        graph.node("Unsqueeze", graph.last, np.array([2]))
    graph.node("Dropout", graph.last)
    imported(graph.model())


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_are_what_onnx_runtime_computes(seed: int) -> None:
    imported(random_graph(np.random.default_rng(seed)))


def test_batches_of_one_and_any_and_no_other() -> None:
    graph = Graph((4,), batch=1)
    graph.node("Reshape", "x", np.array([1, 2, 2]))
    imported(graph.model())
    mixed = Graph((4,))
    mixed.node("Sub", "x", mixed.node("ReduceMean", "x", axes=[0])[0])
    with pytest.raises(Refused, match="ReduceMean.*inputs would share it"):
        imported(mixed.model())
    rare = Graph((4,))
    rare.node("Relu", rare.node("Sub", "x", np.full(4, 1e3))[0])  # 0 at every input compared
    rare.node("Add", "x", rare.node("ReduceMax", rare.last, axes=[0])[0])
    with pytest.raises(Refused, match="ReduceMax.*inputs would share it"):
        imported(rare.model())
    alone = Graph((4,))
    alone.node("Reshape", "x", np.array([1, 4]))
    with pytest.raises(Refused, match="Reshape.*export with a batch of 1"):
        imported(alone.model())
    one = Graph((4,))
    turned = one.node("Transpose", "x", perm=[1, 0])[0]
    one.node("BatchNormalization", turned, *np.ones((4, 1)))
    one.node("Transpose", one.last, perm=[1, 0])
    with pytest.raises(Refused, match="for one input, not for a batch of"):
        imported(one.model())
    fixed = Graph((4,), batch=3)
    fixed.node("Relu", "x")
    with pytest.raises(Refused, match="batch of 3; export with a batch of 1"):
        imported(fixed.model())


def test_a_batch_that_comes_back_as_one_row_is_refused() -> None:
    """Its rows are right, as far as there are any."""
    first = Graph((4,))
    first.node("Slice", "x", np.array([0]), np.array([1]), np.array([0]))
    with pytest.raises(Refused, match=r"returns \[1, 4\] for a batch of 6"):
        imported(first.model())
    doubled = Graph((4,))
    doubled.node("Concat", "x", "x", axis=0)
    doubled.node("Reshape", doubled.last, np.array([-1, 8]))
    doubled.node("Expand", doubled.last, size(doubled))
    with pytest.raises(Refused):
        imported(doubled.model())


def test_a_pool_of_several_rows_keeps_them_apart() -> None:
    """Behind a file's own axis of rows, each has maxima and means of its own."""
    for op, of in (("GlobalMaxPool", "ReduceMean"), ("GlobalAveragePool", "ReduceMax")):
        graph = Graph((2, 3, 4, 4), batch=1)
        graph.node("Reshape", "x", np.array([2, 3, 4, 4]))
        graph.node(of, graph.node(op, graph.last)[0], axes=[0])
        imported(graph.model())


def test_what_nothing_runs_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("no such kernel\nand more")

    for one in ("_runtime", "_reference"):
        monkeypatch.setattr(comparing, one, broken)
    said = r"^test: nothing here runs it .*Runtime: no such kernel; onnx's .*: no such kernel\)$"
    graph = Graph((2,))
    graph.node("Relu", "x")
    with pytest.raises(Refused, match=said):
        imported(graph.model())


def test_types() -> None:
    double = Graph((4,), kind=onnx.TensorProto.DOUBLE)
    double.node("Gemm", "x", kernel(4, 3))
    found = imported(double.model())
    assert found.rounded == 12 and 0 < found.rounding < 2.0**-24
    half = Graph((4,), kind=onnx.TensorProto.FLOAT16)
    half.node("Relu", "x")
    with pytest.raises(Refused, match="FLOAT16.*half precision"):
        imported(half.model())


def test_an_open_shape_must_be_said() -> None:
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Flatten", ["x"], ["y"])],
            "open",
            [onnx.helper.make_tensor_value_info("x", 1, ["N", 1, "H", "W"])],
            [onnx.helper.make_tensor_value_info("y", 1, ["N", "M"])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(UsageError, match=r"input_shape: required.*\[1, \?, \?\]"):
        imported(model)
    with pytest.raises(UsageError, match="input_shape: found"):
        imported(model, (2, 3, 3))
    assert imported(model, (1, 3, 3)).network.classes == 9


def test_files(tmp_path: Path) -> None:
    """External data beside the file; what is damaged is one message."""
    graph = Graph((4,))
    graph.node("Gemm", "x", np.float32(np.eye(4)))
    path = tmp_path / "model.onnx"
    onnx.save_model(graph.model(), path, save_as_external_data=True, location="data",
                    size_threshold=0)  # fmt: skip
    found = import_network(read_model(path))
    assert np.array_equal(found.network.layers[0].weight, np.eye(4))
    (tmp_path / "data").unlink()
    for contents in (path.read_bytes(), b"", b"\x00" * 99, b"no model"):
        path.write_bytes(contents)
        with pytest.raises(UsageError, match=f"file: .*{path}.*(no sound|empty|allowed: an) "):
            read_model(path)
    with pytest.raises(UsageError, match="missing.onnx, which does not exist"):
        read_model(tmp_path / "missing.onnx")


def test_what_it_exports_comes_back() -> None:
    """Every operation that lipsort writes as ONNX is one that it reads."""
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "verifier"))
    from test_machines import build, layers

    from lipsort_cli.verifier.errors import Unsupported
    from lipsort_cli.verifier.onnx import onnx_bytes

    for name, entry in layers(np.random.default_rng(0)).items():
        net = build(entry)
        try:
            model = onnx.load_from_string(onnx_bytes(net))
        except Unsupported:
            continue
        assert imported(model).network.input_shape == net.input_shape, name
