"""One recurrence, two machines: binary64 rounded outwards and exact arithmetic say the same."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest

from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.points import GUARD, certify_points, evaluate, issued_routes
from lipsort_cli.certificates.reach import certified_radii
from lipsort_cli.certificates.search import find_bounds, find_route
from lipsort_cli.verification import verify
from lipsort_cli.verifier import operation
from lipsort_cli.verifier.bounds import network_constant, prove_chain
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.exact import Exact, check_claims
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.radii import Claims
from lipsort_cli.verifier.rounding import ARITHMETICS, REAL, Binary64

sys.path.insert(0, str(Path(__file__).parents[1] / "certificates"))
from certificate_networks import convolution, entries, mlp, network, propagate, save

DOCS = Path(__file__).parents[2] / "docs"
IMAGE, FLAT = [4, 6, 6], [12]


def layers(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """An entry of every operation, with random numbers; images [4, 6, 6], vectors [12]."""

    def real(low: float, high: float) -> str:
        return float(rng.uniform(low, high) * rng.choice([-1, 1])).hex()

    def kernel(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))

    votes = rng.integers(-9, 10, (7, 12))
    votes[:, 0] = 5
    matrix, bias = rng.standard_normal((7, 12)), rng.standard_normal(7)
    stride, size = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    window = {"kernel": size, "stride": stride}
    inner = [convolution(kernel(4, 4, 3, 3), rng.standard_normal(4), padding=1), {"op": "relu"}]
    mixed = {"op": "residual", "skip": real(0.1, 2), "branch": real(0.1, 2), "layers": inner}
    return {
        "normalize": {
            "op": "normalize",
            "mean": [real(0, 2) for _ in range(4)],
            "std": [float(value).hex() for value in rng.uniform(0.1, 3, 4)],
        },
        "flatten": {"op": "flatten"},
        "identity": {"op": "identity"},
        "relu": {"op": "relu"},
        "abs": {"op": "abs"},
        "tanh": {"op": "tanh"},
        "sigmoid": {"op": "sigmoid"},
        "leaky_relu": {"op": "leaky_relu", "slope": real(0, 2)},
        "scale": {"op": "scale", "factor": real(0.01, 9)},
        "clip": {"op": "clip", "low": (-0.5).hex(), "high": rng.choice([None, (0.75).hex()])},
        "select": {"op": "select", "weight": rng.integers(-1, 144, 24), "shape": [6, 2, 2]},
        "sum": {"op": "sum", "branches": [inner, [], [mixed]]},
        "groupsort": {"op": "groupsort", "group_size": int(rng.choice([1, 2, 4]))},
        "maxout": {"op": "maxout", "group_size": int(rng.choice([1, 2, 4]))},
        "space_to_depth": {"op": "space_to_depth", "block": int(rng.integers(1, 4))},
        "depth_to_space": {"op": "depth_to_space", "block": int(rng.integers(1, 3))},
        "average_pool": {"op": "average_pool", **window},
        "max_pool": {"op": "max_pool", **window},
        "l2_pool": {"op": "l2_pool", **window},
        "convolution": convolution(
            kernel(6, 2, size, 2), rng.standard_normal(6), stride=stride, padding=1, groups=2
        ),
        "transposed_convolution": convolution(
            kernel(4, 3, 2, size), None, op="transposed_convolution", stride=stride, padding=0
        ),
        "residual": mixed,
        "concatenate": {"op": "concatenate", "branches": [inner, [], [mixed]]},
        "dense": {"op": "dense", "weight": matrix, "bias": bias},
        "distance": {
            "op": "distance",
            "weight": matrix,
            "bias": bias,
            "decay": float(rng.choice([0.0, 0.3, 0.999, rng.random()])).hex(),
        },
        "order_statistic": {
            "op": "order_statistic",
            "weight": votes,
            "bias": np.abs(votes).sum(1) // 3 + 1,
        },
        "extension": {"op": "extension", "weight": matrix * 3, "bias": bias},
    }


def build(entry: dict[str, Any]) -> Network:
    """A network of that layer alone; on images a flatten layer follows."""
    from lipsort_cli.verifier.graph import Parser

    flat = entry["op"] in ("dense", "distance", "order_statistic", "extension")
    shape, rest = (FLAT, []) if flat else (IMAGE, [{"op": "flatten"}])
    tensors: dict[str, np.ndarray] = {}
    chain = Parser(tensors, shape[0]).chain(
        entries([entry, *rest], "layers", tensors), tuple(shape), "layers"
    )
    return network([entry, *rest], shape, chain[-1].width)


def upper(bounds: Any) -> np.ndarray:
    return np.array([float(ball.upper()) for ball in np.atleast_1d(bounds)])


def test_every_operation_is_in_the_tables() -> None:
    """Adding an operation is adding a file; who lists operations elsewhere is told here."""
    from lipsort_cli.zoo.plain import plain_module

    known = operation.names()
    assert len(known) >= 27 and set(layers(np.random.default_rng(0))) == set(known)
    schema = json.loads((DOCS / "certificate.schema.json").read_text())
    entry = schema["$defs"]["layer"]["properties"]
    assert sorted(entry["op"]["enum"]) == known
    methods = {method for name in known for method in operation.find(name).methods}  # type: ignore[union-attr]
    assert set(entry["method"]["enum"]) == methods
    text = (DOCS / "certificates.md").read_text()
    table = text[text.index("| `op` |") :].split("\n\n")[0].splitlines()[2:]
    named = [name for row in table for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == known
    for row in table:
        for name in re.findall(r"`(\w+)`", row.split("|")[1]):
            for field in operation.find(name).fields:  # type: ignore[union-attr]
                assert f"`{field}`" in row, (name, field)
    for name, layer in layers(np.random.default_rng(0)).items():
        assert len(plain_module(build(layer))) >= 1, name
    for missing in ("mish", "__init__", "_base", "../dense", "DENSE", ""):
        assert operation.find(missing) is None


@pytest.mark.parametrize("op", operation.names())
def test_both_machines_bound_the_same_errors(op: str) -> None:
    """Values within what binary64 says it lost; errors of the other arithmetic equal, not above."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        net = build(layers(rng)[op])
        scale = [1.0, 1e-17, 1e6][seed]
        x = (rng.standard_normal((3, net.inputs)) * scale).astype(np.float32)
        x[1] = np.rint(x[1])
        for norm in ("l2", "linf", "l1"):
            bounds = find_bounds(net, norm)
            with flint.ctx.workprec(256):
                prove_chain(net.layers, bounds, norm, Exact(96))
            for kind in ARITHMETICS.values():
                if kind is not REAL and any(operation.of(i).smooth for i in net.walk()):
                    continue
                first = propagate(net.layers, bounds, x, norm, kind)
                with flint.ctx.workprec(256):
                    second = propagate(net.layers, bounds, x, norm, kind, Exact(96))
                    own, d0, d1 = upper(second.own), upper(second.d0), upper(second.d1)
                    values = second.m.floats(second.values)
                size = np.abs(values).max() + scale * 1e-300
                apart = np.abs(values - first.values).max(axis=1)
                assert (apart <= (first.own.value + own) * (1 + 1e-9)).all()
                assert (own <= first.own.value + size * 1e-25).all()
                # The grid is relative to the largest of a batch: what it cuts off is allowed.
                pairs = [(d0, first.d0.value), (d1, first.d1.value)]
                for rounded, exact in zip(first.magnitudes, second.magnitudes, strict=True):
                    pairs += [(upper(b), a.value) for a, b in zip(rounded, exact, strict=True)]
                for exact, rounded in pairs:
                    room = 1e-140 + size * 1e-22 + 1e-20 * np.max(rounded)
                    np.testing.assert_allclose(exact, rounded, rtol=1e-9, atol=room)


@pytest.mark.parametrize("seed", range(12))
def test_radii_that_binary64_proves_are_proven_exactly(seed: int) -> None:
    """Random chains of operations: exact arithmetic is no stricter, and not much more generous."""
    rng = np.random.default_rng(seed)
    kind = ["real", "binary64", "binary32"][seed % 3]
    norm = ["l2", "linf", "l1"][seed // 3 % 3]
    some = layers(rng)
    images = [name for name in some if build(some[name]).input_shape == tuple(IMAGE)]
    images = [n for n in images if n not in ("flatten", "transposed_convolution", "maxout")]
    if kind != "real":
        images = [name for name in images if name not in ("tanh", "sigmoid")]
    chain: list[dict[str, Any]] = []
    width = 0
    for name in rng.permutation(images):
        try:
            width = build_chain([*chain, some[name]])
        except Exception:  # shapes that do not fit
            continue
        chain.append(some[name])
        if len(chain) == 4:
            break
    head = rng.standard_normal((3, width))
    centres = {"op": "distance", "weight": rng.standard_normal((6, width)), "bias": None}
    tail = [{**centres, "decay": (0.5).hex()}, {"op": "dense", "weight": head[:, :6], "bias": None}]
    net = network([*chain, {"op": "flatten"}, *tail], IMAGE, 3)
    x = rng.random((6, *IMAGE), dtype=np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    routes = issued_routes(net)
    found = certify_points(net, x, labels, norm=norm, arithmetic=kind, routes=routes)
    radii, claim = found.radii.copy(), (norm, ARITHMETICS[kind], routes, found.route)
    check_claims(net, Claims(x, labels, radii, *claim))
    if radii.max() > 1e-6:
        place = int(radii.argmax())
        radii[place] *= 1 + 1e-5
        with pytest.raises(Invalid, match=rf"radius\[{place}\]"):
            check_claims(net, Claims(x, labels, radii, *claim))


def build_chain(chain: list[dict[str, Any]]) -> int:
    from lipsort_cli.verifier.graph import Parser

    tensors: dict[str, np.ndarray] = {}
    made = Parser(tensors, IMAGE[0]).chain(
        entries(chain, "layers", tensors), tuple(IMAGE), "layers"
    )
    return made[-1].width


@pytest.mark.parametrize("scale", [1e-17, 1e-30, 1.0, 1e12])
def test_no_input_is_too_small_for_the_grid(tmp_path: Path, scale: float) -> None:
    net = network([{"op": "dense", "weight": np.eye(3)}, {"op": "relu"},
                   {"op": "dense", "weight": np.eye(3)}], [3], 3)  # fmt: skip
    path = save(net, tmp_path / "model.safetensors")
    x = (np.random.default_rng(0).random((9, 3)) * scale).astype(np.float32)
    labels = x.argmax(axis=1)
    issued = issue_certificate(tmp_path, path, x, labels, arithmetic="real")
    assert (issued.points.radii > 0).all()
    assert verify(tmp_path, exact=True).status == "VALID"


def test_routes_lead_from_one_norm_to_another() -> None:
    """By every route what its own norm implies, point by point the best, confirmed exactly."""
    net = mlp(7)
    rng = np.random.default_rng(0)
    x = rng.random((9, 1, 3, 4), dtype=np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    routes = [route for route in issued_routes(net) if route.inputs == route.norm]
    root = np.sqrt(net.inputs)
    worth = {("linf", "l2"): 1 / root, ("linf", "l1"): 1 / root**2, ("l2", "l1"): 1 / root}
    for norm in ("l2", "linf", "l1"):
        kind = ARITHMETICS["binary32"]
        found = certify_points(net, x, labels, norm=norm, arithmetic="binary32", routes=routes)
        each = []
        for route in routes:
            by_it = certified_radii(net, x, labels, norm, kind, route, GUARD).radii
            own = certified_radii(net, x, labels, route.norm, kind, route, GUARD).radii
            each.append(own * worth.get((norm, route.norm), 1.0))
            np.testing.assert_allclose(by_it, each[-1], rtol=1e-12)
        np.testing.assert_allclose(found.radii, np.max(each, axis=0), rtol=1e-12)
        claims = Claims(x, labels, found.radii, norm, kind, routes, found.route)
        check_claims(net, claims)
        with pytest.raises(Invalid):
            check_claims(net, claims._replace(radii=found.radii * 1.001))
        constant = network_constant(net, routes, norm, Binary64()).value
        assert constant <= find_route(net, norm).constant(net, norm, Binary64()).value * (1 + 1e-6)
