"""Exported ONNX: valid, equal in outputs, and recognised by the verifier."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificate_networks import mlp, network, save

from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.points import evaluate
from lipsort_cli.commands.export import compare
from lipsort_cli.verifier.onnx import onnx_bytes
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
    assert onnx_bytes(mlp(8, activation=activation)) == contents, "written the same every time"
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
    for other in (mlp(10), mlp(9, activation={"op": "relu"})):
        deployed.write_bytes(onnx_bytes(other))
        verdict = verify(tmp_path, network=deployed)
        assert (verdict.status, verdict.field) == ("INVALID", "--network")
        assert "byte for byte" in verdict.reason and "imported first" in verdict.reason


@pytest.mark.parametrize("arithmetic", ["real", "binary64"])
def test_a_claim_about_another_arithmetic_is_not_handed_to_a_file_of_float32(
    tmp_path: Path, arithmetic: str
) -> None:
    net = mlp(9)
    certified(tmp_path, net, arithmetic)
    deployed = tmp_path / "model.onnx"
    deployed.write_bytes(onnx_bytes(net))
    assert verify(tmp_path).status == "VALID"
    verdict = verify(tmp_path, network=deployed)
    assert (verdict.status, verdict.field) == ("UNSUPPORTED", "--network")
    assert "certify with arithmetic=binary32" in verdict.reason


def test_constants_rounded_to_float32(tmp_path: Path) -> None:
    """A slope of 0.1 becomes float32(0.1): covered by the bounds of binary32."""
    net = mlp(9, activation={"op": "leaky_relu", "slope": (0.1).hex()})
    certified(tmp_path, net)
    deployed = tmp_path / "model.onnx"
    deployed.write_bytes(onnx_bytes(net))
    assert verify(tmp_path, network=deployed).status == "VALID"


def test_every_bit_of_a_file_counts(tmp_path: Path) -> None:
    """Names, versions, attributes and weights alike: nothing that another reader could use."""
    net = mlp(9)
    certified(tmp_path, net)
    deployed = tmp_path / "model.onnx"
    contents = onnx_bytes(net)
    rng = np.random.default_rng(2)
    for position in rng.choice(len(contents) * 8, 60, replace=False).tolist():
        flipped = bytearray(contents)
        flipped[position // 8] ^= 1 << (position % 8)
        deployed.write_bytes(bytes(flipped))
        assert verify(tmp_path, network=deployed).status == "INVALID", position
    for other in (contents[:-1], contents + b"\0", b"", contents[:100], os.urandom(1000)):
        deployed.write_bytes(other)
        assert verify(tmp_path, network=deployed).status == "INVALID"


def test_what_two_readers_read_differently_is_refused(tmp_path: Path) -> None:
    """Files that ONNX Runtime reads as another network, though a reader may find the certified one.

    A second value of an attribute, another wire type, a second graph, another operator set.
    """
    onnx = pytest.importorskip("onnx")
    net = mlp(9, activation={"op": "leaky_relu", "slope": (0.5).hex()})
    certified(tmp_path, net)
    deployed = tmp_path / "model.onnx"

    def changed(change: Any) -> bytes:
        model = onnx.load_from_string(onnx_bytes(net))
        change(model)
        return bytes(model.SerializeToString())

    def attribute(name: str, value: Any, op: str = "Gemm") -> Any:
        def change(model: Any) -> None:
            node = next(node for node in model.graph.node if node.op_type == op)
            node.attribute.append(onnx.helper.make_attribute(name, value))

        return change

    files = [
        changed(attribute("transB", 2)),
        changed(attribute("alpha", -1.0)),
        changed(attribute("alpha", 0.25, "LeakyRelu")),
        changed(lambda model: setattr(model.opset_import[0], "version", 6)),
        changed(lambda model: setattr(model, "producer_name", "other")),
        changed(lambda model: model.graph.node[0].attribute.append(
            onnx.helper.make_attribute("axis", 1))),
        onnx_bytes(net) + onnx_bytes(mlp(10)),
    ]  # fmt: skip
    for contents in files:
        deployed.write_bytes(contents)
        assert verify(tmp_path, network=deployed).status == "INVALID"
