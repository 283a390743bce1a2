"""Certified radii under attack, under symmetries, and at the edges of floating point."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from certificate_networks import mlp, network
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.certificates.points import certify_points, evaluate
from lipsort_cli.errors import UsageError
from lipsort_cli.zoo.plain import plain_module

finite = st.floats(-8, 8, width=32)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_affine_networks_have_their_exact_radius(data: st.DataObject) -> None:
    """At r (1 + 1e-6) the nearest boundary point flips in rationals; the certificate is below r."""
    size = data.draw(st.integers(1, 6))
    values = st.lists(finite, min_size=size, max_size=size)
    weight = np.array([data.draw(values) for _ in range(3)], dtype=np.float32)
    bias = np.array(data.draw(st.lists(finite, min_size=3, max_size=3)), dtype=np.float32)
    x = np.array(data.draw(values), dtype=np.float32)
    net = network([{"op": "dense", "weight": weight, "bias": bias}], [size], 3)

    def logits(point: list[Fraction]) -> list[Fraction]:
        return [
            sum(
                (Fraction(float(w)) * v for w, v in zip(row, point, strict=True)),
                Fraction(float(b)),
            )
            for row, b in zip(weight, bias, strict=True)
        ]

    exact = [Fraction(float(value)) for value in x]
    at = logits(exact)
    label = max(range(3), key=lambda j: at[j])
    others = [j for j in range(3) if j != label]
    found = Fraction(float(certified(net, x[None], [label], "l2", "real")[0]))
    squares = {}
    for j in others:
        apart = [
            Fraction(float(a)) - Fraction(float(b))
            for a, b in zip(weight[label], weight[j], strict=True)
        ]
        length = sum(value * value for value in apart)
        gap = at[label] - at[j]
        assert gap >= 0
        if length:
            squares[j] = (gap * gap / length, apart, length, gap)
        elif gap == 0:
            assert found == 0
            return
    if not squares:
        return
    j = min(squares, key=lambda key: squares[key][0])
    square, apart, length, gap = squares[j]
    if gap == 0:
        assert found == 0
        return
    assert found * found < square
    if gap > Fraction(1, 1000):
        assert found * found >= square * Fraction(999998, 1000000)
    step = gap / length * Fraction(1000001, 1000000)
    moved = logits([v - step * a for v, a in zip(exact, apart, strict=True)])
    assert moved[j] > moved[label]


def certified(net: Any, x: np.ndarray, labels: Any, norm: str, arithmetic: str) -> np.ndarray:
    points = certify_points(net, x, np.asarray(labels), norm=norm, arithmetic=arithmetic)
    return points.radii


@pytest.mark.parametrize("kind", ["orthonormal", "linf", "spectral", "none"])
@pytest.mark.parametrize(
    "activation",
    [
        {"op": "groupsort", "group_size": 2},
        {"op": "groupsort", "group_size": 4},
        {"op": "groupsort", "group_size": 16},
        {"op": "relu"},
        {"op": "abs"},
        {"op": "leaky_relu", "slope": (0.1).hex()},
        {"op": "maxout", "group_size": 2},
    ],
    ids=lambda entry: f"{entry['op']}{entry.get('group_size', '')}",
)
def test_no_attack_succeeds_within_a_radius(kind: str, activation: dict[str, Any]) -> None:
    seed = sum(map(ord, kind + str(activation)))
    rng = np.random.default_rng(seed)
    net = mlp(seed, activation=activation, kind=kind)
    inputs = rng.random((40, 1, 3, 4), dtype=np.float32)
    labels = evaluate(net, inputs, "real").logits.argmax(axis=1)
    norm = "linf" if kind == "linf" else "l2"
    radii = certified(net, inputs, labels, norm, "binary32")
    assert (radii > 0).any()
    campaign = Campaign(net, norm=norm, arithmetic="binary32", bounds=None, steps=5, seed=seed)
    largest = float(radii.max())
    findings = campaign.run(["pgd", "deepfool", "rounding"], inputs, labels, radii, [largest, 3.0])
    if activation.get("group_size") != 16:  # random FullSort networks are nearly constant
        assert np.isfinite(findings.nearest).mean() > 0.5, "the attacks find something"
    assert not (findings.nearest <= radii)[radii > 0].any()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_translation_and_rotation(norm: str) -> None:
    """Moving inputs and network together changes no radius (rotations: in L2)."""
    rng = np.random.default_rng(7)
    weights = [np.linalg.qr(rng.standard_normal((8, 8)))[0] for _ in range(2)]
    head = rng.standard_normal((3, 8))
    shift = rng.integers(-4, 5, 8).astype(np.float64)
    permutation = np.eye(8)[rng.permutation(8)]

    def build(first: np.ndarray, bias: np.ndarray) -> Any:
        return network(
            [
                {"op": "dense", "weight": first, "bias": bias},
                {"op": "groupsort", "group_size": 2},
                {"op": "dense", "weight": weights[1]},
                {"op": "abs"},
                {"op": "dense", "weight": head},
            ],
            [8],
            3,
        )

    first = weights[0].astype(np.float32).astype(np.float64)
    x = rng.integers(-64, 65, (30, 8)) / 32.0
    original = build(first, np.zeros(8))
    labels = evaluate(original, x, "real").logits.argmax(axis=1)
    expected = certified(original, x, labels, norm, "real")
    moved = build(first, -(first @ shift))
    found = certified(moved, x + shift, labels, norm, "real")
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    turned = build(first @ permutation.T, np.zeros(8))
    found = certified(turned, x @ permutation.T, labels, norm, "real")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    if norm == "l2":
        # Float32 weights turn only approximately.
        rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
        rotated = build(first @ rotation.T, np.zeros(8))
        found = certified(rotated, x @ rotation.T, labels, norm, "real")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_scaling_moves_radii_exactly() -> None:
    """A scale layer before the head and after it; by a power of two nothing rounds."""
    net = mlp(11)
    rng = np.random.default_rng(3)
    x = rng.random((20, 1, 3, 4), dtype=np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    expected = certified(net, x, labels, "l2", "real")
    entries = []
    for layer in net.layers:
        entry: dict[str, Any] = {"op": layer.op}
        if layer.op == "dense":
            entry |= {"weight": layer.weight, "bias": layer.bias}
        elif layer.op == "groupsort":
            entry["group_size"] = layer.size
        elif layer.op == "normalize":
            entry |= {"mean": [layer.numbers[0].hex()], "std": [layer.numbers[1].hex()]}
        entries.append(entry)
    after = network([*entries, {"op": "scale", "factor": (4.0).hex()}], [1, 3, 4], 4)
    np.testing.assert_array_equal(certified(after, x, labels, "l2", "real"), expected)
    in_float32 = certified(after, x, labels, "l2", "binary32")
    assert (in_float32 <= certified(net, x, labels, "l2", "binary32")).all()
    assert (in_float32 > 0.9 * expected)[expected > 1e-3].all()
    negative = network([*entries, {"op": "scale", "factor": (-1.0).hex()}], [1, 3, 4], 4)
    worst = evaluate(net, x, "real").logits.argmin(axis=1)
    found = certified(negative, x, worst, "l2", "real")
    assert (found > 0).all() and (found <= 2).all()


@pytest.mark.parametrize("scale", [1e-42, 1e-38, 1e-20, 1e20])
@pytest.mark.parametrize("bias", [0.0, 1e6])
def test_tiny_and_huge_numbers(scale: float, bias: float) -> None:
    """Denormal weights, huge biases: evaluate in float32 at random points of each ball."""
    net = mlp(5, scale=scale ** (1 / 3), bias=bias)
    rng = np.random.default_rng(9)
    x = rng.random((50, 1, 3, 4), dtype=np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    radii = certified(net, x, labels, "l2", "binary32")
    module = plain_module(net)
    for flush in (False, True):
        torch.set_flush_denormal(flush)
        try:
            for _ in range(20):
                step = rng.standard_normal(x.shape)
                step *= (radii * (1 - 1e-7) / np.linalg.norm(step.reshape(50, -1), axis=1)).reshape(
                    -1, 1, 1, 1
                )
                moved = (x + step).astype(np.float32)
                far = np.linalg.norm((moved.astype(np.float64) - x).reshape(50, -1), axis=1)
                inside = (far <= radii) & (radii > 0)
                with torch.no_grad():
                    logits = module(torch.from_numpy(moved)).numpy()
                lead = logits[np.arange(50), labels][:, None] - logits
                lead[np.arange(50), labels] = np.inf
                assert (lead.min(axis=1) > 0)[inside].all()
        finally:
            torch.set_flush_denormal(False)


def test_summation_orders_stay_within_the_bound() -> None:
    """Batched, single, reversed and pairwise float32 sums: all within ``evaluate``'s error."""
    net = mlp(2, widths=(12, 64, 64, 4))
    rng = np.random.default_rng(4)
    x = rng.random((30, 1, 3, 4), dtype=np.float32)
    found = evaluate(net, x, "binary32")
    module = plain_module(net)
    with torch.no_grad():
        batched = module(torch.from_numpy(x)).numpy()
        single = np.concatenate([module(torch.from_numpy(row[None])).numpy() for row in x])
    values = ((x - np.float32(0.5)) / np.float32(0.25)).reshape(30, -1)
    for layer in net.layers:
        if layer.op == "dense":
            assert layer.weight is not None and layer.bias is not None
            total = np.zeros((30, layer.width), dtype=np.float32)
            for column in reversed(range(layer.inputs)):
                total = total + values[:, column : column + 1] * layer.weight[:, column]
            values = total + layer.bias
        elif layer.op == "groupsort":
            values = np.sort(values.reshape(30, -1, 2), axis=2).reshape(30, -1)
    for logits in (batched, single, values):
        assert (np.abs(logits - found.logits) <= found.error[:, None]).all()
    exact = evaluate(net, x, "real")
    assert (exact.error < 1e-11).all()


def test_published_counterexample_to_float32_certifiers() -> None:
    """Large weights that cancel, after Zombori et al. (ICLR 2021): real says yes, float32 no."""
    omega = 2.0**30
    net = network(
        [
            {"op": "dense", "weight": [[omega], [omega]], "bias": [0.5, 0.0]},
            {"op": "relu"},
            {"op": "dense", "weight": [[1, -1], [0, 0]], "bias": [0.0, 0.25]},
        ],
        [1],
        2,
    )
    x = np.array([[1.0]], dtype=np.float32)
    assert evaluate(net, x, "real").logits[0].argmax() == 0
    with torch.no_grad():
        assert plain_module(net)(torch.from_numpy(x))[0].argmax() == 1
    assert certified(net, x, [0], "l2", "real")[0] > 0
    assert certified(net, x, [0], "l2", "binary64")[0] > 0
    assert certified(net, x, [0], "l2", "binary32")[0] == 0


def test_smooth_activations_only_in_real_arithmetic() -> None:
    for op in ("tanh", "sigmoid"):
        net = mlp(1, activation={"op": op})
        x = np.random.default_rng(0).random((5, 1, 3, 4), dtype=np.float32)
        labels = evaluate(net, x, "real").logits.argmax(axis=1)
        assert (certified(net, x, labels, "l2", "real") > 0).all()
        with pytest.raises(UsageError, match="libraries differ"):
            certified(net, x, labels, "l2", "binary32")


@pytest.mark.parametrize("name", ["tf32", "bf16", "fp16"])
def test_reduced_precision_is_refused_with_a_reason(name: str) -> None:
    x = np.zeros((1, 1, 3, 4), dtype=np.float32)
    with pytest.raises(UsageError, match="keeps so few bits"):
        certified(mlp(), x, [0], "l2", name)


def test_no_points() -> None:
    empty = np.zeros((0, 1, 3, 4), dtype=np.float32)
    labels = np.zeros(0, dtype=np.int64)
    assert len(certified(mlp(), empty, labels, "l2", "binary32")) == 0


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
@pytest.mark.parametrize("arithmetic", ["real", "binary64", "binary32"])
def test_the_exact_judge_accepts_radii_and_refuses_larger_ones(norm: str, arithmetic: str) -> None:
    """Exact arithmetic confirms what binary64 derives, and nothing noticeably above."""
    from lipsort_cli.certificates.points import issued_routes
    from lipsort_cli.verifier.errors import Invalid
    from lipsort_cli.verifier.exact import check_claims
    from lipsort_cli.verifier.radii import Claims
    from lipsort_cli.verifier.rounding import ARITHMETICS

    for kind in ("orthonormal", "none"):
        net = mlp(6, kind=kind, activation={"op": "leaky_relu", "slope": (0.3).hex()})
        x = np.random.default_rng(0).random((8, 1, 3, 4), dtype=np.float32)
        labels = evaluate(net, x, "real").logits.argmax(axis=1)
        found = certify_points(net, x, labels, norm=norm, arithmetic=arithmetic)
        radii = found.radii
        assert (radii > 0).all()
        claim = (norm, ARITHMETICS[arithmetic], issued_routes(net), found.route)
        check_claims(net, Claims(x, labels, radii, *claim))
        radii[3] *= 1 + 1e-6
        with pytest.raises(Invalid, match=r"radius\[3\]"):
            check_claims(net, Claims(x, labels, radii, *claim))


def _ordered(terms: np.ndarray, order: str) -> np.ndarray:
    """Float32 products ``[m, n]`` of one point, rearranged within each row."""
    if order == "positive first":
        keys = -np.sign(terms) * 1e30 - np.abs(terms)
    elif order == "negative first":
        keys = np.sign(terms) * 1e30 - np.abs(terms)
    elif order == "small first":
        keys = np.abs(terms)
    elif order == "large first":
        keys = -np.abs(terms)
    else:
        keys = np.broadcast_to(np.arange(terms.shape[1]), terms.shape)
    return np.take_along_axis(terms, np.argsort(keys, axis=1, kind="stable"), axis=1)


@pytest.mark.parametrize(
    "order", ["positive first", "negative first", "small first", "large first", "given"]
)
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_adversarial_summation_orders(order: str, drift: float) -> None:
    """Sequential float32 sums in the worst orders stay within the bound, for biased data too.

    Entries just above a power of two make every addition round the same way.
    """
    rng = np.random.default_rng(8)
    size = 1500
    weight = (rng.standard_normal((6, size)) + drift).astype(np.float32)
    weight = (np.sign(weight) * (1 + rng.random((6, size)) * 2.0**-20)).astype(np.float32)
    bias = rng.standard_normal(6).astype(np.float32)
    net = network([{"op": "dense", "weight": weight, "bias": bias}], [size], 6)
    x = (1 + rng.random((4, size)) * 2.0**-20).astype(np.float32)
    found = evaluate(net, x, "binary32", norm="linf")
    for point, logits, error in zip(x, found.logits, found.error, strict=True):
        terms = _ordered(weight * point, order)
        total = np.zeros(6, dtype=np.float32)
        for column in range(size):
            total = total + terms[:, column]
        total = total + bias
        assert total.dtype == np.float32
        assert (np.abs(total - logits) <= error).all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("method", ["foolbox", "carlini_wagner", "boundary"])
def test_an_outside_adversary(method: str, norm: str) -> None:
    """Foolbox's DeepFool, Carlini and Wagner's, the boundary attack, where it is installed."""
    pytest.importorskip("foolbox")
    net = mlp(21)
    x = np.random.default_rng(0).random((30, 1, 3, 4), dtype=np.float32)
    labels = evaluate(net, x, "real").logits.argmax(axis=1)
    radii = certified(net, x, labels, norm, "binary32")
    campaign = Campaign(net, norm=norm, arithmetic="binary32", bounds=(-5.0, 5.0), steps=2)
    state = torch.random.get_rng_state()
    findings = campaign.run([method], x, labels, radii, [])
    assert np.isfinite(findings.nearest).mean() > 0.5
    assert not (findings.nearest <= radii)[radii > 0].any()
    assert torch.equal(state, torch.random.get_rng_state())
    # Of one class there is nothing to start from; nothing is found, and nothing breaks.
    alone = Campaign(net, norm=norm, arithmetic="real", bounds=None, steps=1)
    assert np.isinf(alone.run(["boundary"], x[:1], labels[:1], radii[:1], []).nearest).all()
