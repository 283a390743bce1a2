"""Exported ONNX: valid, equal in outputs, and recognised by the verifier."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificate_networks import mlp, network, save

from lipsort_cli.certificates import evaluate, issue_certificate
from lipsort_cli.export.compare import compare
from lipsort_cli.export.onnx_writer import onnx_bytes
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.onnx_network import parse_onnx
from lipsort_cli.verifier.verify import verify

ACTIVATIONS: list[dict[str, Any]] = [
    {"op": "groupsort", "group_size": 2},
    {"op": "groupsort", "group_size": 16},
    {"op": "maxout", "group_size": 4},
    {"op": "relu"},
    {"op": "leaky_relu", "slope": (0.125).hex()},
    {"op": "abs"},
    {"op": "tanh"},
    {"op": "sigmoid"},
    {"op": "identity"},
    {"op": "scale", "factor": (-2.5).hex()},
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda entry: entry["op"])
def test_every_operation(activation: dict[str, Any], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net = mlp(8, activation=activation)
    contents = onnx_bytes(net)
    onnx.checker.check_model(onnx.load_from_string(contents), full_check=True)
    assert parse_onnx(contents).graph() == net.graph()
    assert parse_onnx(contents).weights_digest() == net.weights_digest()
    x = np.random.default_rng(0).random((9, 1, 3, 4), dtype=np.float32)
    session = runtime.InferenceSession(contents, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"input": x})[0]
    assert compare(net, x, outputs).within
    assert not compare(net, x, outputs + np.float32(0.1)).within


def test_channels_and_no_bias() -> None:
    net = network(
        [
            {
                "op": "normalize",
                "mean": [value.hex() for value in (0.5, 0.25, 0.0)],
                "std": [value.hex() for value in (0.5, 2.0, 1.0)],
            },
            {"op": "flatten"},
            {"op": "dense", "weight": np.eye(12)[:5]},
        ],
        [3, 2, 2],
        5,
    )
    runtime = pytest.importorskip("onnxruntime")
    contents = onnx_bytes(net)
    assert parse_onnx(contents).graph_digest() == net.graph_digest()
    x = np.random.default_rng(0).random((4, 3, 2, 2), dtype=np.float32)
    session = runtime.InferenceSession(contents, providers=["CPUExecutionProvider"])
    assert compare(net, x, session.run(None, {"input": x})[0]).within


def certified(folder: Path, net: Any, arithmetic: str = "binary32") -> None:
    x = np.random.default_rng(1).random((6, 1, 3, 4), dtype=np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    path = save(net, folder / "model.safetensors")
    issue_certificate(folder, path, x, labels, arithmetic=arithmetic)


def test_a_deployed_network_is_verified(tmp_path: Path) -> None:
    net = mlp(9)
    certified(tmp_path, net)
    deployed = tmp_path / "model.onnx"
    deployed.write_bytes(onnx_bytes(net))
    assert verify(tmp_path, network=deployed).status == "VALID"
    deployed.write_bytes(onnx_bytes(mlp(10)))
    verdict = verify(tmp_path, network=deployed)
    assert (verdict.status, verdict.field) == ("INVALID", "network.weights_sha256")
    deployed.write_bytes(onnx_bytes(mlp(9, activation={"op": "relu"})))
    verdict = verify(tmp_path, network=deployed)
    assert (verdict.status, verdict.field) == ("INVALID", "network.graph_sha256")


@pytest.mark.parametrize(("arithmetic", "status"), [("binary32", "VALID"), ("real", "INVALID")])
def test_constants_rounded_to_float32(tmp_path: Path, arithmetic: str, status: str) -> None:
    """A slope of 0.1 becomes float32(0.1): covered by the bounds of binary32, and only by those."""
    net = mlp(9, activation={"op": "leaky_relu", "slope": (0.1).hex()})
    certified(tmp_path, net, arithmetic)
    deployed = tmp_path / "model.onnx"
    deployed.write_bytes(onnx_bytes(net))
    assert verify(tmp_path, network=deployed).status == status


def test_damaged_files_never_end_in_a_traceback(tmp_path: Path) -> None:
    net = mlp(9)
    certified(tmp_path, net)
    deployed = tmp_path / "model.onnx"
    contents = onnx_bytes(net)
    rng = np.random.default_rng(2)
    ignored = 0
    for position in rng.choice(len(contents) * 8, 300, replace=False).tolist():
        flipped = bytearray(contents)
        flipped[position // 8] ^= 1 << (position % 8)
        try:
            found = parse_onnx(bytes(flipped))
        except (Invalid, Unsupported):
            continue
        if found.graph() == net.graph() and found.weights_digest() == net.weights_digest():
            ignored += 1  # names of nodes and of the producer mean nothing
            continue
        deployed.write_bytes(bytes(flipped))
        assert verify(tmp_path, network=deployed).status == "INVALID"
    assert ignored < 60
    for size in (0, 1, 7, 100, len(contents) - 1):
        deployed.write_bytes(contents[:size])
        assert verify(tmp_path, network=deployed).status in ("INVALID", "UNSUPPORTED")
    deployed.write_bytes(os.urandom(1000))
    assert verify(tmp_path, network=deployed).status in ("INVALID", "UNSUPPORTED")


def test_foreign_operations_are_unsupported() -> None:
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto

    def model(nodes: list[Any], constants: list[Any] | None = None) -> bytes:
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("input", kinds.FLOAT, ["N", 4])],
            [helper.make_tensor_value_info("out", kinds.FLOAT, ["N", 4])],
            constants or [],
        )
        return bytes(helper.make_model(graph).SerializeToString())

    shape = helper.make_tensor("shape", kinds.INT64, [3], [0, -1, 2])
    flat = helper.make_tensor("flat", kinds.INT64, [2], [0, 4])
    two = helper.make_tensor("two", kinds.INT64, [1], [2])
    weight = helper.make_tensor("w", kinds.FLOAT, [4, 4], np.eye(4).reshape(-1).tolist())
    make = helper.make_node
    bad = [
        model([make("Exp", ["input"], ["out"])]),
        model([make("Relu", ["input"], ["a"]), make("Add", ["a", "input"], ["out"])]),
        model([make("Gemm", ["input", "w"], ["out"], alpha=2.0)], [weight]),
        model([make("Flatten", ["input"], ["out"], axis=0)]),
        model(
            [
                make("Reshape", ["input", "shape"], ["a"]),
                make("TopK", ["a", "two"], ["b", "i"], largest=1),
                make("Reshape", ["b", "flat"], ["out"]),
            ],
            [shape, flat, two],
        ),
        model([make("Relu", ["input"], ["out"], domain="custom")]),
    ]
    for contents in bad:
        with pytest.raises((Unsupported, Invalid)):
            parse_onnx(contents)
    good = model([make("Gemm", ["input", "w"], ["out"])], [weight])
    assert parse_onnx(good).classes == 4
