"""Radii in one norm by bounds in another: closed forms, order, brute force, certificates."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from certificate_networks import mlp, network, save
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.points import certify_points, evaluate, issued_routes, lipschitz_bound
from lipsort_cli.certificates.search import find_route
from lipsort_cli.norms import NAMES, ORDER
from lipsort_cli.norms import conversion as about
from lipsort_cli.verifier.exact import Exact, flint
from lipsort_cli.verifier.format import content_digest
from lipsort_cli.verifier.linear import mixed_norm
from lipsort_cli.verifier.rounding import Binary64, conversion
from lipsort_cli.verifier.verify import verify

NORMS = sorted(NAMES)
KINDS = ["orthonormal", "linf", "spectral", "none"]


def points(net: Any, count: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).random((count, *net.input_shape), dtype=np.float32)
    return x, evaluate(net, x, "real").logits.argmax(axis=1)


@pytest.mark.parametrize("size", [1, 2, 3, 784, 3072, 2**20 + 7, 2**31 - 1, 2**53 - 111])
@pytest.mark.parametrize("claim", NORMS)
@pytest.mark.parametrize("route", NORMS)
def test_conversions_are_rounded_to_the_safe_side(claim: str, route: str, size: int) -> None:
    """A norm's largest value on the unit ball of another, whose square is a whole number."""
    power = 2 * (Fraction(1 / ORDER[route]) - Fraction(1 / ORDER[claim]))
    square = max(1, size ** int(power)) if power > 0 else 1
    found = Fraction(float(conversion(Binary64(), claim, route, size).value))
    assert square <= found * found <= square * (1 + Fraction(1, 2**48))
    with flint().ctx.workprec(256):
        exact = conversion(Exact(96), claim, route, size)
        assert abs(float(exact) ** 2 / square - 1) < 1e-12
    assert about(claim, route, size) == pytest.approx(float(found), rel=1e-12)


@given(st.sampled_from(NORMS), st.sampled_from(NORMS), st.integers(1, 9), st.integers(0, 10**6))
def test_no_vector_exceeds_a_conversion(claim: str, route: str, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    factor = conversion(Binary64(), claim, route, size).value
    vectors = np.concatenate([rng.standard_normal((50, size)), np.ones((1, size)), np.eye(size)])
    lengths = [np.linalg.norm(vectors, ORDER[norm], axis=1) for norm in (route, claim)]
    ratio = lengths[0] / lengths[1]
    assert ratio.max() <= factor * (1 + 1e-12)
    assert ratio.max() == pytest.approx(factor)  # one of ones or of a single one attains it


@pytest.mark.parametrize("arithmetic", ["real", "binary32"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("widths", [(3, 6, 2), (12, 16, 16, 4), (48, 8, 3)], ids=str)
def test_radii_are_ordered_as_norms_are(
    widths: tuple[int, ...], kind: str, arithmetic: str
) -> None:
    """||x||_inf <= ||x||_2 <= ||x||_1 and back with the roots of the dimension, point by point."""
    net = mlp(4, widths=widths, kind=kind)
    x, labels = points(net)
    radii = {
        norm: certify_points(net, x, labels, norm=norm, arithmetic=arithmetic).radii
        for norm in NORMS
    }
    assert (radii["l2"] > 0).any()
    for claim in NORMS:
        for other in NORMS:
            least = radii[other] / about(claim, other, net.inputs)
            assert (radii[claim] >= least * (1 - 1e-12)).all(), (claim, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", NORMS)
def test_each_point_has_its_best_route(norm: str, kind: str) -> None:
    """What is left out as hopeless is: the same radii as by trying every route for every point."""
    net = mlp(7, widths=(12, 20, 16, 5), kind=kind)
    x, labels = points(net, 60)
    labels[:5] = (labels[:5] + 1) % 5
    routes = issued_routes(net)
    found = certify_points(net, x, labels, norm=norm, arithmetic="binary32")
    alone = np.stack(
        [
            certify_points(net, x, labels, norm=norm, arithmetic="binary32", routes=[route]).radii
            for route in routes
        ]
    )
    # Products of fewer points may be added up in another order, and end in another last bit.
    np.testing.assert_allclose(found.radii, alone.max(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.radii, alone[found.route, np.arange(60)], rtol=1e-12)
    assert sum(found.shares().values()) == pytest.approx(1.0)
    assert (found.radii[:5] == 0).all()


def test_two_routes_can_each_be_the_best() -> None:
    """Classes that differ in one feature are told apart better in L-infinity, others in L2."""
    size = 64
    rotated = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0][:4]
    weight = np.concatenate([np.eye(size)[:4], rotated]).astype(np.float32)
    head = np.zeros((3, 8), np.float32)
    head[0, 0], head[1, 0], head[2] = 1, 0.5, 1 / 8**0.5
    layers = [
        {"op": "dense", "weight": weight, "bias": None},
        {"op": "abs"},
        {"op": "dense", "weight": head, "bias": [0.0, 0.0, -2.6]},
    ]
    net = network(layers, [size], 3)
    x = np.random.default_rng(1).standard_normal((300, size)).astype(np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    found = certify_points(net, x, labels, norm="linf", arithmetic="real")
    shares = found.shares()
    assert shares.keys() == {"l2", "linf"} and min(shares.values()) > 0.05


@pytest.mark.parametrize("size", [1, 4, 49])
@pytest.mark.parametrize("norm", NORMS)
def test_an_isometry_has_its_radius_in_closed_form(norm: str, size: int) -> None:
    """A rotation and a pair of logits at right angles: L2 exactly, other norms by conversion."""
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((size, size)))[0]
    head = np.zeros((2, size), np.float32)
    head[0, 0] = 1.0
    layers = [
        {"op": "dense", "weight": rotation, "bias": None},
        {"op": "identity"},
        {"op": "dense", "weight": head, "bias": [0.0, 0.0]},
    ]
    net = network(layers, [size], 2)
    x = np.random.default_rng(4).standard_normal((40, size)).astype(np.float32)
    gaps = evaluate(net, x, "real").logits
    labels = gaps.argmax(axis=1)
    radii = certify_points(net, x, labels, norm=norm, arithmetic="real").radii
    own = np.abs(gaps[:, 0] - gaps[:, 1])
    assert (radii >= own / about(norm, "l2", size) * (1 - 1e-6)).all()
    # No more than the distance to the true boundary, in the dual norm of the row.
    dual = {"l2": 2, "linf": 1, "l1": np.inf}[norm]
    exact = own / np.linalg.norm((head[0] @ rotation.astype(np.float32)).astype(float), dual)
    assert (radii <= exact * (1 + 1e-6)).all()


@pytest.mark.parametrize("kind", ["orthonormal", "linf"])
@pytest.mark.parametrize("norm", NORMS)
def test_no_attack_within_a_radius_by_another_route(norm: str, kind: str) -> None:
    net = mlp(11, widths=(12, 24, 24, 3), kind=kind)
    x, labels = points(net, 40)
    found = certify_points(net, x, labels, norm=norm, arithmetic="binary32")
    assert (found.radii > 0).mean() > 0.9
    campaign = Campaign(net, norm=norm, arithmetic="binary32", bounds=None, steps=10)
    median = float(np.median(found.radii))
    findings = campaign.run(
        ["fgsm", "pgd", "deepfool", "rounding"],
        x, labels, found.radii, [median, 2 * median, 10 * median, 100 * median],
    )  # fmt: skip
    assert np.isfinite(findings.nearest).mean() > 0.9
    assert (findings.nearest > found.radii).all()


@settings(max_examples=25)
@given(st.sampled_from(NORMS), st.sampled_from(KINDS), st.integers(0, 10**6))
def test_random_points_of_a_ball_keep_their_label(norm: str, kind: str, seed: int) -> None:
    """Brute force in few dimensions: corners and edges of the ball, moved to its surface."""
    rng = np.random.default_rng(seed)
    net = mlp(seed % 100, widths=(3, 8, 2), kind=kind)
    x, labels = points(net, 4, seed)
    radii = certify_points(net, x, labels, norm=norm, arithmetic="binary64").radii
    corners = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3).astype(float)
    steps = np.concatenate([corners, rng.standard_normal((100, 3))])
    steps = steps[np.abs(steps).max(axis=1) > 0]
    steps /= np.linalg.norm(steps, ORDER[norm], axis=1, keepdims=True)
    for point, label, radius in zip(x, labels, radii, strict=True):
        moved = point.reshape(1, 3) + radius * (1 - 1e-12) * steps
        logits = evaluate(net, moved.reshape(-1, *net.input_shape), "real").logits
        if radius > 0:
            assert (logits.argmax(axis=1) == label).all()


@pytest.mark.parametrize("kind", ["orthonormal", "linf"])
@pytest.mark.parametrize("norm", NORMS)
def test_certificates_state_their_routes(norm: str, kind: str, tmp_path: Path) -> None:
    net = mlp(5, widths=(12, 24, 24, 3), kind=kind)
    path = save(net, tmp_path / "model.safetensors")
    x, labels = points(net, 20)
    issued = issue_certificate(tmp_path, path, x, labels, norm=norm, eps=[0.01])
    for exact in (False, True):
        verdict = verify(tmp_path, exact=exact)
        assert verdict.status == "VALID", verdict
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    named = [route["norm"] for route in certificate["routes"]]
    if kind == "orthonormal":
        assert "l2" in named
    places = np.array(certificate["points"]["route"])
    assert set(places[issued.points.radii > 0]) <= set(range(len(named)))
    assert float.fromhex(certificate["lipschitz"]["network"]) == issued.points.lipschitz
    assert lipschitz_bound(net, norm).value == issued.points.lipschitz


def test_a_route_that_does_not_prove_is_refused(tmp_path: Path) -> None:
    """An L2 network in L-infinity: with the other route's bounds its radii are far too large."""
    net = mlp(5, widths=(48, 64, 64, 3))
    path = save(net, tmp_path / "model.safetensors")
    x, labels = points(net, 20)
    issue_certificate(tmp_path, path, x, labels, norm="linf")
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    assert [route["norm"] for route in certificate["routes"]] == ["l2"]
    forged = json.loads(json.dumps(certificate))
    forged["routes"][0]["norm"] = "linf"
    for change in (forged, renamed(certificate, "l1")):
        change["digest"] = content_digest(change)
        (tmp_path / "certificate.json").write_text(json.dumps(change))
        assert verify(tmp_path).status == "INVALID"
    # The radii of L2 claimed in L-infinity: a factor of the root of 48 too large.
    stated = certify_points(net, x, labels, norm="l2", arithmetic="binary32").radii
    certificate["points"]["radius"] = [float(value).hex() for value in stated]
    certificate["digest"] = content_digest(certificate)
    (tmp_path / "certificate.json").write_text(json.dumps(certificate))
    verdict = verify(tmp_path)
    assert verdict.status == "INVALID" and verdict.field.startswith("points.radius")


def renamed(certificate: dict[str, Any], norm: str) -> dict[str, Any]:
    """The same certificate with another norm in its claim."""
    other = json.loads(json.dumps(certificate))
    other["claim"]["norm"] = norm
    return dict(other)


def test_an_l2_network_keeps_what_its_l2_certificate_implies() -> None:
    """At every radius, in both directions, as shares of certified points."""
    torch.manual_seed(0)
    for kind, own, other in (("orthonormal", "l2", "linf"), ("linf", "linf", "l2")):
        net = mlp(9, widths=(48, 64, 64, 3), kind=kind)
        x, labels = points(net, 200)
        radii = {
            norm: certify_points(net, x, labels, norm=norm, arithmetic="binary32").radii
            for norm in (own, other)
        }
        factor = about(other, own, net.inputs)
        for eps in np.linspace(0, 2 * float(radii[other].max()), 50)[1:]:
            implied = (radii[own] >= eps * factor * (1 + 1e-9)).mean()
            assert (radii[other] >= eps).mean() >= implied


# --- the first layer from one norm to another -------------------------------------------------


@given(
    st.sampled_from(NORMS), st.sampled_from(NORMS), st.integers(1, 6), st.integers(1, 6),
    st.sampled_from([1e-30, 1.0, 1e20]), st.integers(0, 10**6),
)  # fmt: skip
def test_mixed_norms_bound_what_a_matrix_does(
    entry: str, norm: str, rows: int, columns: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.standard_normal((rows, columns)) * scale).astype(np.float32)
    bound = float(mixed_norm(Binary64(), weight.astype(np.float64), entry, norm).value)
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * columns), -1).reshape(-1, columns)
    x = np.concatenate(
        [corners, np.eye(columns), weight / scale, rng.standard_normal((50, columns))]
    )
    x = x[np.abs(x).max(axis=1) > 0]
    grown = np.linalg.norm(x @ weight.T.astype(np.float64), ORDER[norm], axis=1)
    reached = (grown / np.linalg.norm(x, ORDER[entry], axis=1)).max()
    assert reached <= bound * (1 + 1e-12)
    if entry == "l1" or norm == "linf":
        assert reached >= bound * (1 - 1e-6)  # then it is the norm itself
    with flint().ctx.workprec(256):
        m = Exact(96)
        exact = mixed_norm(m, m.array(weight), entry, norm)
        assert float(exact) <= bound and float(exact) == pytest.approx(bound, rel=1e-12)


def wide(seed: int = 3) -> Any:
    """Fewer rows than columns, orthonormal: no component alone reaches the constant of all."""
    return mlp(seed, widths=(96, 16, 16, 3))


def test_a_mixed_first_layer_lengthens_radii_in_l1(tmp_path: Path) -> None:
    net = wide()
    x, labels = points(net, 40)
    routes = [route for route in issued_routes(net) if route.inputs == route.norm]
    plain = certify_points(net, x, labels, norm="l1", arithmetic="real", routes=routes)
    found = certify_points(net, x, labels, norm="l1", arithmetic="real")
    assert found.shares() == {"l1-l2": 1.0}
    first = next(layer.weight for layer in net.layers if layer.op == "dense")
    longest = float(np.linalg.norm(first.astype(np.float64), axis=0).max())
    np.testing.assert_allclose(found.radii * longest, plain.radii, rtol=1e-5)
    assert longest < 0.8
    path = save(net, tmp_path / "model.safetensors")
    issue_certificate(tmp_path, path, x, labels, norm="l1")
    for exact in (False, True):
        verdict = verify(tmp_path, exact=exact)
        assert verdict.status == "VALID", verdict
    assert "l2 (the first from l1)" in " ".join(verify(tmp_path).lines)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_mixed_routes_are_sound_and_taken_only_where_they_pay(norm: str, kind: str) -> None:
    """Radii of each mixed route by itself survive attacks, in the arithmetic of deployment."""
    net = mlp(2, widths=(24, 8, 8, 3), kind=kind, scale=1.3)
    x, labels = points(net, 25)
    kept = {route.name for route in issued_routes(net)}
    assert kept >= set(NORMS)
    for other in NORMS:
        if other == norm:
            continue
        mixed = find_route(net, other, norm)
        radii = certify_points(
            net, x, labels, norm=norm, arithmetic="binary32", routes=[mixed]
        ).radii
        assert (radii > 0).any()
        campaign = Campaign(net, norm=norm, arithmetic="binary32", bounds=None, steps=8)
        median = float(np.median(radii[radii > 0]))
        findings = campaign.run(
            ["pgd", "deepfool", "rounding"], x, labels, radii, [median, 4 * median]
        )
        assert (findings.nearest[radii > 0] > radii[radii > 0]).all()
        better = find_route(net, other, other).constant(net, norm, Binary64()).value
        assert (mixed.name in kept) == (mixed.constant(net, norm, Binary64()).value < better)


@pytest.mark.parametrize("arithmetic", ["real", "binary32"])
@pytest.mark.parametrize(("seed", "best"), [(1, "linf-l1"), (11, "linf-l2")])
def test_no_claim_is_below_what_another_norm_implies(
    seed: int, best: str, arithmetic: str, tmp_path: Path
) -> None:
    """Order statistics double lengths in L2 and L1 alone: in every norm the best way leads from
    L-infinity into another norm by the first matrix.
    """
    rng = np.random.default_rng(seed)
    statistics = {"weight": np.eye(4)[:, ::-1] + np.eye(4), "bias": np.array([1.0, 2, 1, 2])}
    first, head = (rng.integers(-2, 3, shape) for shape in ((3, 4), (2, 3)))
    layers = [
        {"op": "order_statistic", **statistics},
        {"op": "dense", "weight": first.astype(float)},
        {"op": "dense", "weight": head.astype(float)},
    ]
    net = network(layers, [4], 2)
    x = rng.random((30, 4)).astype(np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    found = {
        norm: certify_points(net, x, labels, norm=norm, arithmetic=arithmetic) for norm in NORMS
    }
    assert all(one.shares() == {best: 1.0} for one in found.values())
    for claim in NORMS:
        for other in NORMS:
            least = found[other].radii / about(claim, other, net.inputs)
            assert (found[claim].radii >= least * (1 - 1e-12)).all(), (claim, other)
        path = save(net, tmp_path / "model.safetensors")
        issue_certificate(tmp_path, path, x, labels, norm=claim, arithmetic=arithmetic)
        assert verify(tmp_path, exact=True).status == "VALID"


def test_forged_mixed_routes_are_refused(tmp_path: Path) -> None:
    net = wide()
    x, labels = points(net, 20)
    path = save(net, tmp_path / "model.safetensors")
    issue_certificate(tmp_path, path, x, labels, norm="l1")
    honest = json.loads((tmp_path / "certificate.json").read_text())
    (place,) = [i for i, route in enumerate(honest["routes"]) if route["inputs"] != route["norm"]]

    def verdict(change: Any) -> Any:
        certificate = json.loads(json.dumps(honest))
        change(certificate["routes"][place], certificate)
        certificate["digest"] = content_digest(certificate)
        (tmp_path / "certificate.json").write_text(json.dumps(certificate))
        return verify(tmp_path)

    def lower(route: Any, certificate: Any) -> None:
        (entry,) = [e for e in route["layers"] if e["method"] == "norms of rows or columns"]
        entry["bound"] = (float.fromhex(entry["bound"]) * 0.99).hex()

    def in_linf(route: Any, certificate: Any) -> None:
        certificate["claim"]["norm"] = "linf"

    assert verdict(lambda route, certificate: None).status == "VALID"
    for change in (
        lower,
        in_linf,
        lambda route, _: route.update(inputs="l2"),
        lambda route, _: route.update(inputs="linf"),
        lambda route, _: route.update(norm="linf"),
        lambda route, certificate: certificate["routes"].append(route),
    ):
        found = verdict(change)
        assert found.status == "INVALID", found


@pytest.mark.parametrize("inside", [False, True])
def test_without_a_dense_layer_before_the_head_no_route_crosses(
    inside: bool, tmp_path: Path
) -> None:
    """The head, and what is inside containers, have rules of their own."""
    layers: list[dict[str, Any]] = [{"op": "abs"}]
    if inside:
        rows = {"op": "dense", "weight": np.eye(4), "bias": None}
        layers = [{"op": "residual", "skip": (0.5).hex(), "branch": (0.5).hex(), "layers": [rows]}]
    layers.append({"op": "dense", "weight": np.eye(4)[:3], "bias": None})
    net = network(layers, [4], 3)
    x, labels = points(net, 10)
    assert [route.name for route in issued_routes(net)] == ["l2", "linf", "l1"]
    with pytest.raises(Exception, match="no dense layer leads"):
        certify_points(
            net, x, labels, norm="l1", arithmetic="real", routes=[find_route(net, "l2", "l1")]
        )
    path = save(net, tmp_path / "model.safetensors")
    issue_certificate(tmp_path, path, x, labels, norm="l1")
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    certificate["routes"][0]["inputs"] = (
        "linf" if certificate["routes"][0]["norm"] != "linf" else "l2"
    )
    certificate["digest"] = content_digest(certificate)
    (tmp_path / "certificate.json").write_text(json.dumps(certificate))
    assert verify(tmp_path).field == "routes[0].inputs"
