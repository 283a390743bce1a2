"""Time and memory that a certificate asks for are counted before anything is done."""

from __future__ import annotations

from typing import Any

import adapter
import numpy as np
import pytest
from definitions import Node
from networks import Drawing
from trials import build

from lipsort_cli.verification.effort import Budget, claimed_work, points_work
from lipsort_cli.verifier.bounds import STATE, chunk_size
from lipsort_cli.verifier.errors import Unsupported
from lipsort_cli.verifier.operation import LayerBound


@pytest.mark.parametrize(
    ("op", "width", "least"), [("order_statistic", 1, 20), ("distance", 64, 1)]
)
def test_loops_of_small_operations_are_counted(op: str, width: int, least: float) -> None:
    """Seconds that twenty layers of one input take for 20,000 points, at the very least."""
    weight, fields = (
        np.ones((width, 1), dtype=np.float32),
        {"decay": 0.0} if op == "distance" else {},
    )
    chain = [Node(op, (1,), (width,), fields, weight, np.ones(width, dtype=np.float32))]
    chain += [Node("select", (width,), (1,), {"shape": [1]}, np.zeros(1, dtype=np.float32))]
    assert points_work(build(Drawing((1,), chain * 20, "plain")), 20_000, exact=False) > least


def spacious(kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Graphs of some kilobytes that take gigabytes, and little time."""
    kernel = {"op": "convolution", "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    layers: list[dict[str, Any]] = []
    shapes: list[tuple[int, ...]] = [(9_000, 1)]
    if kind == "pairs of classes":
        layers = [{"op": "dense"}]
    elif kind == "stride":
        shapes, layers = [(9, 1, 1, 1)], [{**kernel, "stride": 2500}]
    else:
        side, taps = (8001, 1) if kind == "pixels" else (401, 31)
        shapes = [(1, 1, taps, taps), (1, 1, 1, 1)]
        padded = {**kernel, "padding": (side + taps) // 2 - 1}
        layers = [padded, {**kernel, "stride": side // 2}]
    names = [f"layers.{place}.weight" for place in range(len(layers))]
    for name, layer in zip(names, layers, strict=True):
        layer |= {"weight": name, "bias": None}
        layer |= {} if layer["op"] == "dense" else {"padding_mode": "zeros"}
    if kind != "pairs of classes":
        layers.append({"op": "flatten"})
    size = {"input_shape": [1] * (len(shapes[0]) - 1), "classes": max(9, shapes[0][0])}
    tensors = [np.ones(shape, dtype=np.float32) for shape in shapes]
    graph = {**adapter.HEADER, **size, "layers": layers}
    return graph, dict(zip(names, tensors, strict=True))


@pytest.mark.parametrize("kind", ["pairs of classes", "pixels", "taps", "stride"])
def test_memory_is_counted_before_it_is_taken(kind: str) -> None:
    """A gigabyte for small files, and more where more time is allowed."""
    graph, tensors = spacious(kind)
    network = adapter.build(graph, tensors)
    method = "frequencies" if kind == "stride" else "absolute sums"
    layers = [LayerBound(n, layer["op"], 1.0, method) for n, layer in enumerate(graph["layers"])]
    claimed = {"routes": [{"layers": layers}], "points": {"radius": [0.0]}}
    certificate = {"kind": "classification", **claimed}
    with pytest.raises(Unsupported, match=r"certificate: asks for about .* GiB of memory"):
        Budget().claimed(certificate, network, 100_000, exact=False)
    Budget(60.0).claimed(certificate, network, 100_000, exact=False)


def test_a_chunk_of_points_has_room_for_all_centres() -> None:
    """The distances to 100,000 centres, of all points of a chunk, are held at a time."""
    centres = 100_000
    weight, bias = np.ones((centres, 1), dtype=np.float32), np.zeros(centres, dtype=np.float32)
    names = {"weight": "layers.0.weight", "bias": "layers.0.bias"}
    graph = {**adapter.HEADER, "input_shape": [1], "classes": 1}
    graph["layers"] = [{"op": "extension", **names}]
    network = adapter.build(graph, dict(zip(names.values(), (weight, bias), strict=True)))
    assert chunk_size(network, 1) * centres <= STATE


@pytest.mark.parametrize("kind", ["groups", "residues", "taps", "windows"])
def test_loops_over_parts_of_images_are_counted(kind: str) -> None:
    """Ten thousands of steps of Python over almost no numbers: a second at the least."""
    groups, taps = {"groups": (20_000, 1), "residues": (1, 250), "taps": (1, 400)}.get(kind, (1, 1))
    kernel = {"op": "convolution", "weight": "layers.0.weight", "bias": None, "dilation": 1}
    kernel |= {"padding": 0, "padding_mode": "zeros", "groups": groups, "stride": taps}
    layers: list[dict[str, Any]] = [kernel, {"op": "flatten"}]
    if kind == "windows":
        layers[:1] = [kernel | {"padding": 500}, {"op": "max_pool", "kernel": 1000, "stride": 1}]
    size = {"input_shape": [groups, taps, taps], "classes": 4 if kind == "windows" else groups}
    weight = np.ones((groups, 1, taps, taps), dtype=np.float32)
    graph = {**adapter.HEADER, **size, "layers": layers}
    network = adapter.build(graph, {"layers.0.weight": weight})
    method = "rows" if kind in ("groups", "taps") else "absolute sums"
    claims = [LayerBound(n, layer["op"], 1.0, method) for n, layer in enumerate(layers)]
    counts = {"x": {"count": 1}, "y": {"count": 1}}
    certificate = {"kind": "w1_lower_bound", "routes": [{"layers": claims}], **counts}
    for exact in (False, True):
        assert claimed_work(certificate, network, exact) > 1.0


def test_passes_and_ranks_are_counted() -> None:
    """Each sample by each route is a pass of its own, and a weighted distance has many ranks."""
    nodes = [
        Node("dense", (1,), (200_000,), weight=np.ones((200_000, 1), dtype=np.float32)),
        Node("distance", (200_000,), (1,), {"decay": 1 - 2.0**-53},
             np.ones((1, 200_000), dtype=np.float32)),
    ]  # fmt: skip
    network = build(Drawing((1,), nodes, "plain"))
    claims = [LayerBound(n, layer.op, 1.0) for n, layer in enumerate(network.layers)]
    counts = {"x": {"count": 1}, "y": {"count": 1}}
    certificate = {"kind": "w1_lower_bound", "routes": [{"layers": claims}] * 9, **counts}
    assert claimed_work(certificate, network, False) > 1.5
