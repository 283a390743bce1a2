"""Every operation of the plain form: values, bounds, error bounds, attacks, certificates, ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from certificate_networks import convolution, entries, image_layers, network, propagate, save

from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.points import certify_points, evaluate, issued_bounds
from lipsort_cli.certificates.search import find_bound
from lipsort_cli.certificates.w1 import issue_w1_certificate
from lipsort_cli.commands.export import compare
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.graph import Network, Parser, build_network
from lipsort_cli.verifier.onnx import onnx_bytes
from lipsort_cli.verifier.rounding import BINARY32, REAL
from lipsort_cli.verifier.verify import verify
from lipsort_cli.zoo.plain import plain_module

RNG = np.random.default_rng(0)
SKIP = {"skip": (0.4).hex(), "branch": (-0.6).hex()}
KERNEL = RNG.standard_normal((4, 4, 3, 3)) / 6

FLAT: dict[str, list[dict[str, Any]]] = {
    "distance": [{"op": "distance", "weight": RNG.standard_normal((9, 16)), "bias": RNG.random(9)}],
    "ranks": [{"op": "distance", "weight": RNG.standard_normal((5, 16)), "bias": None}],
    "extension": [
        {"op": "extension", "weight": RNG.standard_normal((30, 16)), "bias": RNG.random(30)}
    ],
}
VOTES = RNG.integers(-3, 4, (9, 16))
FLAT["order"] = [
    {"op": "order_statistic", "weight": VOTES, "bias": np.abs(VOTES).sum(1) // 2 + 1},
]
FLAT["distance"][0]["decay"] = (0.0).hex()
FLAT["ranks"][0]["decay"] = (0.3).hex()
IMAGES: dict[str, list[dict[str, Any]]] = {
    "convolution": [convolution(KERNEL, RNG.random(4), padding=1)],
    "circular": [convolution(KERNEL, RNG.random(4), padding=1, padding_mode="circular")],
    "dilated groups": [convolution(KERNEL[:, :2], None, dilation=2, groups=2, padding=2)],
    "strided": [convolution(KERNEL, RNG.random(4), stride=2, padding=1)],
    "transposed": [
        convolution(
            KERNEL[:, :1], RNG.random(2), op="transposed_convolution", stride=2, padding=1, groups=2
        )
    ],
    "transposed, cropped": [
        convolution(KERNEL[:, :, :2, :2], None, op="transposed_convolution", stride=3, padding=2)
    ],
    "groupsort": [{"op": "groupsort", "group_size": 4}],
    "maxout": [{"op": "maxout", "group_size": 2}],
    "space_to_depth": [{"op": "space_to_depth", "block": 3}],
    "depth_to_space": [{"op": "depth_to_space", "block": 2}],
    "average_pool": [{"op": "average_pool", "kernel": 3, "stride": 2}],
    "average_pool apart": [{"op": "average_pool", "kernel": 2, "stride": 3}],
    "max_pool": [{"op": "max_pool", "kernel": 3, "stride": 2}],
    "l2_pool": [{"op": "l2_pool", "kernel": 3, "stride": 1}],
    "residual": [
        {
            "op": "residual",
            **SKIP,
            "layers": [convolution(KERNEL, RNG.random(4), padding=1), {"op": "relu"}],
        }
    ],
    "concatenate": [
        {
            "op": "concatenate",
            "branches": [
                [convolution(KERNEL, None, padding=1), {"op": "groupsort", "group_size": 2}],
                [],
                [{"op": "residual", **SKIP, "layers": [{"op": "abs"}]}],
            ],
        }
    ],
}
IMAGE = (4, 6, 9)


def flat_network(name: str, scale: float = 1.0) -> Network:
    layers = [dict(entry) for entry in FLAT[name]]
    layers[0]["weight"] = layers[0]["weight"] * scale
    return network(layers, [16], 1 if name == "extension" else len(layers[0]["weight"]))


def image_network(name: str) -> Network:
    """The layers and a flatten layer, every output of which is a class."""
    tensors: dict[str, np.ndarray] = {}
    chain = Parser(tensors, IMAGE[0]).chain(
        entries(IMAGES[name], "layers", tensors), IMAGE, "layers"
    )
    return network([*IMAGES[name], {"op": "flatten"}], list(IMAGE), chain[-1].width)


NETWORKS = [*FLAT, *IMAGES]


def build(name: str) -> Network:
    return flat_network(name) if name in FLAT else image_network(name)


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_stays_within_the_error_bound(name: str) -> None:
    """Torch's sums in float32 and float64, batched or not: within what ``evaluate`` allows."""
    net = build(name)
    x = np.random.default_rng(1).standard_normal((7, *net.input_shape)).astype(np.float32)
    x[3] = 0
    module = plain_module(net)
    with torch.no_grad():
        double = plain_module(net, torch.float64)(torch.from_numpy(x).double()).numpy()
        batched = module(torch.from_numpy(x)).numpy()
        single = np.concatenate([module(torch.from_numpy(row[None])).numpy() for row in x])
    real = evaluate(net, x, "real")
    assert (np.abs(double - real.logits) <= 1e-11).all()
    assert (real.error < 1e-11).all()
    for norm in ("l2", "linf", "l1"):
        found = evaluate(net, x, "binary32", norm=norm)
        assert (found.error < 1e-2 * net.classes).all()
        for values in (batched, single):
            assert (np.abs(values - found.logits) <= found.error[:, None]).all()


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_pair_of_inputs_is_moved_apart_further(name: str, norm: str) -> None:
    """Random and adversarial pairs: differences within the bound; some come close."""
    net = build(name)
    rng = np.random.default_rng(2)
    order = {"l2": 2, "linf": np.inf, "l1": 1}[norm]
    bound = find_bound(net.layers[0], norm).value
    bounds = [find_bound(layer, norm) for layer in net.layers]
    x = rng.standard_normal((60, net.inputs))
    step = rng.standard_normal((60, net.inputs)) * (rng.random((60, net.inputs)) < 0.3)
    step[20:40] = np.eye(net.inputs)[rng.integers(net.inputs, size=20)]
    step[40:] = np.sign(rng.standard_normal((20, net.inputs)))
    y = x + 1e-3 * step
    first, second = (propagate(net.layers, bounds, part, norm, REAL).values for part in (x, y))
    grown = np.linalg.norm(first - second, order, axis=1) / np.linalg.norm(x - y, order, axis=1)
    assert grown.max() <= bound * (1 + 1e-9)
    assert grown.max() >= bound / 40


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_attack_on_a_convolutional_network(norm: str, seed: int) -> None:
    net = network(image_layers(seed, scale=0.7), [2, 8, 8], 3)
    check_attacks(net, norm, seed)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_no_attack_on_distances_in_linf(decay: float) -> None:
    """Order-statistic layers, the last one too: radius (f_y - f_j) / 2."""
    rng = np.random.default_rng(5)
    layers: list[dict[str, Any]] = [{"op": "flatten"}]
    for rows, columns in ((24, 12), (16, 24), (4, 16)):
        weight = rng.standard_normal((rows, columns)) * 0.5
        layers.append(
            {"op": "distance", "weight": weight, "bias": rng.random(rows), "decay": decay.hex()}
        )
    net = network(layers, [1, 3, 4], 4)
    x = check_attacks(net, "linf", 3)
    found = evaluate(net, x, "real", norm="linf").logits
    ranked = np.sort(found, axis=1)
    radii = certify_points(net, x, found.argmax(axis=1), norm="linf", arithmetic="real").radii
    np.testing.assert_allclose(radii, (ranked[:, -1] - ranked[:, -2]) / 2, rtol=1e-6, atol=1e-9)


def test_no_attack_on_branches() -> None:
    rng = np.random.default_rng(6)
    inner = [convolution(KERNEL, RNG.random(4), padding=1), {"op": "groupsort", "group_size": 2}]
    layers: list[dict[str, Any]] = [
        {"op": "residual", **SKIP, "layers": inner},
        {"op": "concatenate", "branches": [[], [{"op": "residual", **SKIP, "layers": inner}]]},
        {"op": "flatten"},
        {"op": "dense", "weight": rng.standard_normal((3, 8 * 16)) / 8, "bias": None},
    ]
    check_attacks(network(layers, [4, 4, 4], 3), "l2", 4)


def check_attacks(net: Network, norm: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.random((30, *net.input_shape), dtype=np.float32)
    labels = evaluate(net, x, "real", norm=norm).logits.argmax(axis=1)
    radii = certify_points(net, x, labels, norm=norm, arithmetic="binary32").radii
    assert (radii > 0).mean() > 0.5
    campaign = Campaign(net, norm=norm, arithmetic="binary32", bounds=None, steps=5, seed=seed)
    largest = float(radii.max())
    findings = campaign.run(["pgd", "deepfool", "rounding"], x, labels, radii, [largest, 3.0])
    assert not (findings.nearest <= radii)[radii > 0].any()
    return x


def test_summation_orders_of_a_convolution() -> None:
    """Sequential float32 sums of all taps, forwards and backwards, of large cancelling terms."""
    rng = np.random.default_rng(7)
    kernel = (rng.standard_normal((3, 40, 3, 3)) + 0.3).astype(np.float32) * np.float32(100)
    net = network([convolution(kernel), {"op": "flatten"}], [40, 3, 3], 3)
    x = rng.standard_normal((5, 40, 3, 3)).astype(np.float32)
    found = evaluate(net, x, "binary32", norm="linf")
    for order in (slice(None), slice(None, None, -1)):
        products = (x[:, None] * kernel).reshape(5, 3, -1)[:, :, order]
        total = np.zeros((5, 3), dtype=np.float32)
        for term in range(products.shape[2]):
            total = total + products[:, :, term]
        assert (np.abs(total - found.logits) <= found.error[:, None]).all()
        assert (total != found.logits).any()


def test_squares_that_underflow_or_overflow() -> None:
    for scale, finite in ((1e-30, True), (1e-22, True), (1e16, True), (1e25, False)):
        net = network(
            [{"op": "l2_pool", "kernel": 2, "stride": 2}, {"op": "flatten"}], [1, 4, 4], 4
        )
        x = (np.random.default_rng(0).random((3, 1, 4, 4)) * scale).astype(np.float32)
        found = evaluate(net, x, "binary32")
        with torch.no_grad():
            values = plain_module(net)(torch.from_numpy(x)).numpy()
        assert np.isfinite(found.error).all() == finite
        with np.errstate(invalid="ignore"):
            assert not (np.abs(values - found.logits) > found.error[:, None]).any()


def test_extension_equals_its_definition_at_and_near_centres() -> None:
    rng = np.random.default_rng(8)
    centres = (rng.standard_normal((200, 20)) + 1000).astype(np.float32)
    bias = rng.standard_normal(200).astype(np.float32)
    net = network([{"op": "extension", "weight": centres, "bias": bias}], [20], 1)
    x = np.concatenate([centres[:20], centres[20:40] + np.float32(1e-3)]).astype(np.float32)
    found = evaluate(net, x, "real")
    apart = np.linalg.norm(x[:, None].astype(np.longdouble) - centres, axis=2)
    exact = (bias - apart).max(axis=1)
    assert (np.abs(found.logits[:, 0] - exact) <= found.error).all()
    assert found.error.max() < 1e-9


def test_a_convolutional_certificate(tmp_path: Path) -> None:
    """Issued, verified on both machines, refused after tampering."""
    layers = image_layers(3, scale=0.7)
    inner = [convolution(RNG.standard_normal((8, 8, 3, 3)) / 9, None, padding=1)]
    layers.insert(3, {"op": "residual", **SKIP, "layers": inner})
    net = network(layers, [2, 8, 8], 3)
    path = save(net, tmp_path / "model.safetensors")
    x = np.random.default_rng(1).random((12, 2, 8, 8), dtype=np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    for norm in ("linf", "l2"):
        issued = issue_certificate(tmp_path, path, x, labels, norm=norm, eps=[0.01])
        assert verify(tmp_path).status == "VALID", verify(tmp_path)
        assert (issued.points.radii > 0).all()
    exact = verify(tmp_path, exact=True)
    assert exact.status == "VALID", exact
    assert "exact arithmetic: layer bounds and 12 radii" in exact.lines[-1]
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    for index, entry in enumerate(certificate["routes"][0]["layers"]):
        if entry["bound"] != (0.0).hex() and entry["method"] != "1-Lipschitz":
            lower = json.loads(json.dumps(certificate))
            less = (float.fromhex(entry["bound"]) * (1 - 1e-4)).hex()
            lower["routes"][0]["layers"][index]["bound"] = less
            restore(tmp_path, lower)
            verdict = verify(tmp_path)
            assert (
                verdict.status == "INVALID" and verdict.field == f"routes[0].layers[{index}].bound"
            )
    restore(tmp_path, certificate)
    assert verify(tmp_path).status == "VALID"
    for change in (
        {"stride": 2},
        {"padding_mode": "circular"},
        {"groups": 2},
        {"weight": layers[1]["weight"] * 1.01},
    ):
        other = [dict(layer) for layer in layers]
        other[1] |= change
        if "stride" in change or "groups" in change:
            continue  # shapes no longer fit: covered by the table of malformed entries
        save(network(other, [2, 8, 8], 3), tmp_path / "other.safetensors")
        verdict = verify(tmp_path, network=tmp_path / "other.safetensors")
        assert verdict.status == "INVALID" and verdict.field.startswith("network.")


def restore(folder: Path, certificate: dict[str, Any]) -> None:
    """Write the certificate with a fresh digest, as a forger would."""
    from lipsort_cli.verifier.format import content_digest

    content = {**certificate, "digest": content_digest(certificate)}
    (folder / "certificate.json").write_text(json.dumps(content))


MALFORMED: list[tuple[dict[str, Any], type[Exception], str]] = [
    (convolution(KERNEL, stride=0), Invalid, "stride"),
    (convolution(KERNEL, padding=-1), Invalid, "padding"),
    (convolution(KERNEL, dilation=True), Invalid, "dilation"),
    (convolution(KERNEL, groups=3), Invalid, "channels"),
    (convolution(KERNEL, dilation=40), Invalid, "fit"),
    (convolution(KERNEL, padding=2**20), Unsupported, "outputs, more than"),
    (convolution(KERNEL[:, :, 0]), Invalid, "4 axes"),
    (convolution(KERNEL, np.zeros(3)), Invalid, "bias"),
    (convolution(KERNEL * np.inf), Invalid, "NaN or infinity"),
    (convolution(KERNEL, padding_mode="reflect"), Unsupported, "reflect"),
    (convolution(KERNEL, output_padding=1), Invalid, "unknown field"),
    (convolution(KERNEL, op="transposed_convolution", padding=9), Invalid, "fit"),
    ({"op": "average_pool", "kernel": 7, "stride": 1}, Invalid, "fit"),
    ({"op": "max_pool", "kernel": 2}, Invalid, "missing"),
    ({"op": "l2_pool", "kernel": 2.0, "stride": 2}, Invalid, "integer"),
    ({"op": "space_to_depth", "block": 4}, Invalid, "divide"),
    ({"op": "depth_to_space", "block": 3}, Invalid, "multiple"),
    ({"op": "groupsort", "group_size": 3}, Invalid, "channels"),
    ({"op": "dense", "weight": np.eye(4), "bias": None}, Invalid, "flatten"),
    ({"op": "residual", **SKIP, "layers": []}, Invalid, "shape"),
    (
        {"op": "residual", **SKIP, "layers": [{"op": "maxout", "group_size": 2}]},
        Invalid,
        "does not return",
    ),
    ({"op": "residual", **SKIP, "skip": "0.5", "layers": [{"op": "abs"}]}, Invalid, "skip"),
    ({"op": "concatenate", "branches": []}, Invalid, "branches"),
    (
        {"op": "concatenate", "branches": [[], [{"op": "space_to_depth", "block": 3}]]},
        Invalid,
        "beside",
    ),
    ({"op": "concatenate", "branches": [[{"op": "fft"}]]}, Unsupported, "fft"),
]


@pytest.mark.parametrize("case", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_entries_are_refused(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    entry, kind, words = case
    with np.errstate(invalid="ignore"), pytest.raises(kind, match=words):
        network([entry, {"op": "flatten"}], list(IMAGE), 1)


def test_containers_inside_containers_end_somewhere() -> None:
    entry: dict[str, Any] = {"op": "abs"}
    for _ in range(12):
        entry = {"op": "concatenate", "branches": [[entry]]}
    with pytest.raises(Unsupported, match="inside each other"):
        network([entry], [4], 4)


@pytest.mark.parametrize(
    ("weight", "bias", "match"),
    [
        ([[1.5, 1.0]], [1.0], "weight: expected whole numbers"),
        ([[2.0**24, 2.0]], [1.0], "weight: expected whole numbers"),
        ([[1.0, -1.0]], [0.0], "bias: expected whole numbers from 1"),
        ([[1.0, -1.0]], [3.0], "bias: expected whole numbers from 1"),
        ([[2.0, -1.0]], [1.5], "bias: expected whole numbers from 1"),
        ([[0.0, 0.0]], [1.0], "bias: expected whole numbers from 1"),
        ([[1.0, -1.0]], None, "bias: expected whole numbers from 1"),
    ],
)
def test_votes_that_a_sum_could_round(weight: list, bias: list | None, match: str) -> None:
    with pytest.raises(Invalid, match=match):
        network([{"op": "order_statistic", "weight": weight, "bias": bias}], [2], 1)


@pytest.mark.parametrize("decay", ["-0x1p-1", "0x1p+0"])
def test_decay_outside_its_range(decay: str) -> None:
    with pytest.raises(Invalid, match="decay|less than 1"):
        network([{"op": "distance", "weight": np.eye(3), "bias": None, "decay": decay}], [3], 3)


def test_onnx_of_convolutional_networks(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net = network(image_layers(4), [2, 8, 8], 3)
    contents = onnx_bytes(net)
    onnx.checker.check_model(onnx.load_from_string(contents), full_check=True)
    x = np.random.default_rng(0).random((9, 2, 8, 8), dtype=np.float32)
    session = runtime.InferenceSession(contents, providers=["CPUExecutionProvider"])
    assert compare(net, x, session.run(None, {"input": x})[0]).within
    path = save(net, tmp_path / "model.safetensors")
    issue_certificate(tmp_path, path, x, evaluate(net, x, "real").logits.argmax(axis=1))
    (tmp_path / "deployed.onnx").write_bytes(contents)
    assert verify(tmp_path, network=tmp_path / "deployed.onnx").status == "VALID"


@pytest.mark.parametrize(
    "name", ["residual", "concatenate", "distance", "order", "extension", "circular"]
)
def test_onnx_refuses_by_name(name: str) -> None:
    op = {"circular": "convolution", "order": "order_statistic"}.get(name, name)
    with pytest.raises(Unsupported, match=repr(op)):
        onnx_bytes(build(name))


def test_a_wasserstein_certificate_of_an_extension(tmp_path: Path) -> None:
    """Two points 5 apart: the extension attains the distance, in every ground norm it can."""
    centres = np.array([[0.0, 0.0], [3.0, 4.0]])
    layers = [{"op": "extension", "weight": centres, "bias": [0.0, 5.0]}]
    path = save(network(layers, [2], 1), tmp_path / "model.safetensors")
    x, y = centres[1:].astype(np.float32), centres[:1].astype(np.float32)
    issued = issue_w1_certificate(tmp_path, path, x, y, norm="l2")
    assert 5 * (1 - 1e-9) <= issued.value <= 5
    assert verify(tmp_path).status == "VALID"


def test_issued_bounds_leave_room_inside_containers() -> None:
    net = image_network("concatenate")
    derived = [find_bound(layer, "l2") for layer in net.layers]
    for issued, bound in zip(issued_bounds(net, "l2"), derived, strict=True):
        assert issued.value > bound.value or bound.method == "1-Lipschitz"
        for left, right in zip(issued.parts, bound.parts, strict=True):
            assert all(a.value >= b.value for a, b in zip(left, right, strict=True))


def test_unit_roundoff_matters() -> None:
    """Binary32 radii are below real ones: the new operations do carry their roundings."""
    x = np.random.default_rng(3).random((5, *IMAGE), dtype=np.float32)
    for name in ("convolution", "average_pool", "l2_pool", "residual", "transposed"):
        net = image_network(name)
        bounds = [find_bound(layer, "l2") for layer in net.layers]
        state = propagate(net.layers, bounds, x.reshape(5, -1).astype(float), "l2", BINARY32)
        assert (state.d0.value > 0).all() and (state.d1.value > 0).all()


def test_a_network_keeps_its_graph() -> None:
    """What becomes of the entries it was built from is no matter of its own."""
    net = network([{"op": "scale", "factor": (0.5).hex()}], [2], 2)
    given = net.graph()
    built = build_network(given, {})
    given["layers"][0]["factor"] = (2.0).hex()
    assert built.graph_digest() != network([given["layers"][0]], [2], 2).graph_digest()
    assert built.layers[0].numbers == (0.5,) and built.graph()["layers"][0]["factor"] == (0.5).hex()
