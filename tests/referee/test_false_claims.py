"""False claims that verifiers have been seen to believe, and variants: none is VALID here."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import adapter
import numpy as np
import pytest
from definitions import Node
from forgery import load, store
from honest import dense
from networks import Drawing, written
from rounded_arithmetic import Machine
from tally import Tally
from trials import build, check_errors, on

from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.w1 import issue_w1_certificate
from lipsort_cli.errors import LipsortError

DECAYS = (0.1, 0.5, 0.999, 1 - 2.0**-24, 1 - 2.0**-40, 1 - 2.0**-53)


def matrix(values: Any, bias: Any = None) -> Node:
    weight = np.asarray(values, dtype=np.float32)
    offset = None if bias is None else np.asarray(bias, dtype=np.float32)
    return Node("dense", (weight.shape[1],), (len(weight),), weight=weight, bias=offset)


@pytest.mark.parametrize("norm", adapter.NORMS)
@pytest.mark.parametrize("decay", DECAYS)
def test_one_distance_to_one_weight(decay: float, norm: str) -> None:
    """(1 - decay) |x - w|: with one input there is one rank, and its weight is 1 - decay."""
    node = Node("distance", (1,), (1,), {"decay": decay}, np.zeros((1, 1), dtype=np.float32))
    network = build(Drawing((1,), [node], "plain"))
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    assert adapter.wasserstein(network, one, zero, None, None, norm) <= 1
    if norm != "linf":
        # In L-infinity the table says 1, whatever the decay.
        assert 1 - decay <= adapter.bounds(network, norm)[0] <= (1 - decay) * (1 + 2.0**-40)


def test_a_wasserstein_certificate_of_a_distance_of_one_input(tmp_path: Path) -> None:
    node = Node("distance", (1,), (1,), {"decay": 0.999}, np.zeros((1, 1), dtype=np.float32))
    network = build(Drawing((1,), [node], "plain"))
    path = adapter.save(network, tmp_path / "model.safetensors")
    x, y = np.ones((1, 1), dtype=np.float32), np.zeros((1, 1), dtype=np.float32)
    for norm in adapter.NORMS:
        issued = issue_w1_certificate(tmp_path, path, x, y, norm=norm)
        assert issued.value <= 1 and adapter.verify(tmp_path) == "VALID"
        honest = load(tmp_path)
        for value in (999.99, 1.0 + 2.0**-20):
            forged = copy.deepcopy(honest)
            forged["claim"]["value"] = value.hex()
            before, after = honest["statement"].split(" is at least ")
            ending = after[after.index(". Not") :]
            forged["statement"] = f"{before} is at least {value!r}{ending}"
            store(tmp_path, forged)
            assert adapter.verify(tmp_path) == "INVALID"


SIZES = (2.0**-126, 2.0**-127, 2.0**-148, 2.0**-149, 2.0**-150, 2.0**-151, 2.0**-200)


def constants(size: float) -> dict[str, list[Node]]:
    """Chains over two numbers in which one constant of an operation has this size."""
    two = (2,)
    halves = [[matrix(np.eye(2))]]
    return {
        "scale": [Node("scale", two, two, {"factor": size})],
        "slope": [
            matrix(-np.eye(2)),
            Node("leaky_relu", two, two, {"slope": size}),
            matrix(-np.eye(2)),
        ],
        "skip": [Node("residual", two, two, {"skip": size, "branch": 0.0}, branches=halves)],
        "branch": [Node("residual", two, two, {"skip": 0.0, "branch": size}, branches=halves)],
        "decay": [Node("distance", two, two, {"decay": size}, np.eye(2, dtype=np.float32))],
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", constants(1.0))
def test_constants_that_round_to_nothing(place: str, size: float) -> None:
    """2^120 times a tiny constant times its inverse: real arithmetic says 1, binary32 may say 0."""
    large = 2.0**60 * np.eye(2)
    chain = [matrix(large), matrix(large), *constants(size)[place]]
    power = -math.log2(size) - 120
    while power > 0 and place != "decay":
        step = min(power, 100.0)
        chain.append(matrix(2.0**step * np.eye(2)))
        power -= step
    chain.append(matrix(np.eye(2)))
    drawing = Drawing((2,), chain, "plain")
    try:
        network = build(drawing)
    except adapter.Refused:
        return
    x = np.array([[0.0, 1.0], [1.0, 0.0], [0.25, 0.5]])
    tally = Tally()
    check_errors(np.random.default_rng(0), tally, drawing, network, x, machines=30)
    assert not tally.violations, tally.violations[:2]
    for arithmetic in ("binary32", "binary64"):
        labels = np.array([1, 0, 1])
        radii = adapter.radii(network, x, labels, "l2", arithmetic)
        for flush in ("kept", "results", "everything"):
            found = on(Machine(arithmetic, flush=flush), chain, x)
            keeps = found[np.arange(3), labels] > found[np.arange(3), 1 - labels]
            assert (keeps | (radii == 0)).all(), (arithmetic, flush)


@pytest.fixture
def deployed(tmp_path: Path) -> tuple[Path, bytes]:
    """A certificate in binary32, and the ONNX file that goes with it."""
    network, x, labels = _classifier()
    path = adapter.save(network, tmp_path / "model.safetensors")
    issue_certificate(tmp_path, path, x, labels, norm="l2", arithmetic="binary32")
    return tmp_path, adapter.onnx(network)


def _classifier() -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    chain = [
        Node("normalize", (4,), (4,), {"mean": [0.5], "std": [0.3]}),
        dense(rng, 6, 4),
        Node("leaky_relu", (6,), (6,), {"slope": 0.1}),
        Node("scale", (6,), (6,), {"factor": 0.7}),
        dense(rng, 3, 6),
    ]
    network = adapter.build(*written(Drawing((4,), chain, "plain"), adapter.HEADER))
    x = rng.random((5, 4), dtype=np.float32)
    labels = adapter.errors(network, x, "l2", "real")[0].argmax(axis=1)
    return network, x, labels


def test_onnx_files_that_are_not_byte_for_byte_what_was_certified(
    deployed: tuple[Path, bytes],
) -> None:
    """Attributes changed, given twice, of another wire type, fields appended, bits flipped."""
    folder, contents = deployed
    path = folder / "deployed.onnx"
    path.write_bytes(contents)
    assert adapter.verify(folder, network=path) == "VALID"
    path.rename(folder / "CAPITALS.ONNX")
    assert adapter.verify(folder, network=folder / "CAPITALS.ONNX") == "VALID"
    rng = np.random.default_rng(0)
    forged = [contents + contents, contents + b"\x3a\x00", contents + b"\x40\x01", contents[:-1]]
    forged += [b"", b"\0" + contents, contents + b"\0", contents[: len(contents) // 2]]
    for name in (b"transB", b"alpha", b"beta", b"axis", b"perm"):
        place = contents.find(name)
        if place >= 0:
            for offset in range(len(name), len(name) + 8):
                changed = bytearray(contents)
                changed[place + offset] ^= 3
                forged.append(bytes(changed))
    for place in rng.choice(8 * len(contents), 120, replace=False).tolist():
        changed = bytearray(contents)
        changed[place // 8] ^= 1 << place % 8
        forged.append(bytes(changed))
    for item in forged:
        path.write_bytes(item)
        assert adapter.verify(folder, network=path) != "VALID"


@pytest.mark.parametrize("arithmetic", ["real", "binary64"])
def test_claims_of_one_arithmetic_are_none_of_a_float32_file(
    tmp_path: Path, arithmetic: str
) -> None:
    network, x, labels = _classifier()
    path = adapter.save(network, tmp_path / "model.safetensors")
    issue_certificate(tmp_path, path, x, labels, norm="l2", arithmetic=arithmetic)
    assert adapter.verify(tmp_path) == "VALID"
    (tmp_path / "deployed.onnx").write_bytes(adapter.onnx(network))
    assert adapter.verify(tmp_path, network=tmp_path / "deployed.onnx") != "VALID"


@pytest.mark.parametrize("arithmetic", ["real", "binary64", "binary32"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_ties_and_points_out_of_range_are_never_certified(
    tmp_path: Path, norm: str, arithmetic: str
) -> None:
    """Equal logits, and inputs at which something overflows: whatever is claimed is refused."""
    network = build(Drawing((2,), [matrix(np.eye(2)), matrix([[1, 1], [1, 1]])], "ties"))
    path = adapter.save(network, tmp_path / "model.safetensors")
    x = np.array([[1.0, 2.0], [3e38, 3e38], [0.0, 0.0]], dtype=np.float32)
    try:
        issue_certificate(tmp_path, path, x, [0, 0, 0], norm=norm, arithmetic=arithmetic)
    except LipsortError:
        return
    honest = load(tmp_path)
    assert [float.fromhex(text) for text in honest["points"]["radius"]] == [0.0] * 3
    for row in range(3):
        forged = copy.deepcopy(honest)
        forged["points"]["radius"][row] = (2.0**-1000).hex()
        forged["summary"]["certified"] = 1
        forged["statement"] = honest["statement"].replace("for 0 of", "for 1 of")
        store(tmp_path, forged)
        assert adapter.verify(tmp_path) == "INVALID"
