"""Convolutions against explicit matrices: what they compute, and bounds of what they can do."""

from __future__ import annotations

import cmath
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lipsort_cli.certificates.search import find_bound
from lipsort_cli.verifier.bounds import WITNESSED, prove_chain, proven
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.graph import Parser
from lipsort_cli.verifier.linear import scaled
from lipsort_cli.verifier.operation import Layer, LayerBound, of
from lipsort_cli.verifier.operations._kernels import BITS, circle, convolve
from lipsort_cli.verifier.rounding import Binary64


def convolution_bound(found: Layer, norm: str, method: str, witness: float = 0.0) -> float:
    claim = LayerBound(0, found.op, 0.0, method, witness if method in WITNESSED else 0.0)
    return float(proven(found, claim, (norm, norm), Binary64(), "layer").value)


METHODS = ("residual", "rows", "frequencies", "absolute sums")


def layer(weight: Any, shape: tuple[int, ...], op: str = "convolution", **options: Any) -> Layer:
    entry = {"op": op, "weight": "layers.0.weight", "bias": None, "stride": 1, "padding": 0}
    entry |= {"dilation": 1, "groups": 1}
    if op == "convolution":
        entry["padding_mode"] = "zeros"
    tensors = {"layers.0.weight": np.asarray(weight, dtype=np.float32)}
    return Parser(tensors, shape[0]).chain([{**entry, **options}], shape, "layers")[0]


def matrix(found: Layer) -> np.ndarray:
    """The operator, entry by entry from the definition."""
    assert found.weight is not None
    if found.op == "transposed_convolution":
        first, second, span = found.out_shape, found.shape, found.weight.shape
        wide = span[1]
    else:
        first, second, span = found.shape, found.out_shape, found.weight.shape
        wide = span[1]
    rows = np.zeros((*second, *first))
    for o in range(second[0]):
        group = o // (second[0] // found.groups)
        for u in range(second[1]):
            for v in range(second[2]):
                for i in range(wide):
                    for t in range(span[2]):
                        for r in range(span[3]):
                            a = found.stride * u + found.dilation * t - found.padding
                            b = found.stride * v + found.dilation * r - found.padding
                            if found.circular:
                                a, b = a % first[1], b % first[2]
                            if 0 <= a < first[1] and 0 <= b < first[2]:
                                rows[o, u, v, group * wide + i, a, b] += found.weight[o, i, t, r]
    flat = rows.reshape(int(np.prod(second)), -1)
    return flat.T if found.op == "transposed_convolution" else flat


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bounds_hold_and_values_agree(data: st.DataObject) -> None:
    draw = data.draw
    op = draw(st.sampled_from(["convolution", "convolution", "transposed_convolution"]))
    groups = draw(st.sampled_from([1, 1, 2]))
    inputs, outputs = (groups * draw(st.integers(1, 3)) for _ in range(2))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    options: dict[str, Any] = {
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, 3)),
        "dilation": draw(st.integers(1, 3)),
        "groups": groups,
    }
    if op == "convolution":
        options["padding_mode"] = draw(st.sampled_from(["zeros", "circular"]))
        shape: tuple[int, ...] = (outputs, inputs // groups, *kernel)
    else:
        shape = (inputs, outputs // groups, *kernel)
    size = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    weight = rng.standard_normal(shape) * (
        rng.random(shape) < draw(st.sampled_from([0.0, 0.4, 1.0]))
    )
    with np.errstate(under="ignore"):
        weight = np.ldexp(weight, draw(st.sampled_from([0, 0, -60, 60])))
    try:
        found = layer(weight, (inputs, *size), op, **options)
    except (Invalid, Unsupported):
        assume(False)
        raise
    explicit = matrix(found)
    x = rng.standard_normal((2, found.inputs))
    assert found.weight is not None
    np.testing.assert_allclose(
        convolve(found, x, found.weight.astype(np.float64)),
        x @ explicit.T,
        rtol=1e-12,
        atol=1e-13 * (1 + np.abs(explicit).max()),
    )
    assert of(found).terms(found) >= np.count_nonzero(explicit, axis=1).max()
    norms = {
        "l2": np.linalg.norm(explicit, 2),
        "linf": np.abs(explicit).sum(axis=1).max(),
        "l1": np.abs(explicit).sum(axis=0).max(),
    }
    for norm, true in norms.items():
        bound = find_bound(found, norm)
        assert bound.value >= true * (1 - 1e-13), norm
        prove_chain([found], [bound], norm, Binary64())
    for method in METHODS:
        for witness in (0.0, 1e-9, 1.0, 50.0, 1e300):
            assert convolution_bound(found, "l2", method, witness) >= norms["l2"] * (1 - 1e-13)


def test_terms_are_the_weights_that_are_not_zero() -> None:
    """Products with zero are exact: a kernel of one tap a channel errs as its matrix does."""
    kernel = np.zeros((4, 6, 3, 3))
    kernel[:, range(6), [0, 2, 1, 1, 1, 0], [1, 1, 0, 2, 1, 0]] = 1.0
    kernel[0, 5] = 0
    options = {"padding": 1, "groups": 1}
    found = layer(kernel, (6, 5, 5), **options)
    assert of(found).terms(found) == 6
    turned = layer(kernel, (4, 5, 5), "transposed_convolution", **options)
    assert of(turned).terms(turned) == 4


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


def block_orthogonal(rng: np.random.Generator, channels: int, length: int) -> np.ndarray:
    """Products of ``P + (I - P) shift`` in both directions: orthogonal as an operator."""
    kernel = orthogonal(rng, channels)[:, :, None, None]
    for step in range(2 * (length - 1)):
        half = orthogonal(rng, channels)[:, : channels // 2]
        pair = [half @ half.T, np.eye(channels) - half @ half.T]
        grown = np.zeros(
            (channels, channels, *(kernel.shape[2] + (step % 2), kernel.shape[3] + 1 - step % 2))
        )
        for place, factor in enumerate(pair):
            moved = np.einsum("oi,ijhw->ojhw", factor, kernel)
            rows = slice(place * (step % 2), place * (step % 2) + kernel.shape[2])
            columns = slice(place * (1 - step % 2), place * (1 - step % 2) + kernel.shape[3])
            grown[:, :, rows, columns] += moved
        kernel = grown
    return kernel


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_orthogonal_kernels_are_bounded_by_one(mode: str) -> None:
    rng = np.random.default_rng(0)
    kernel = block_orthogonal(rng, 32, 3)
    for weight in (kernel, kernel[:10], kernel[:, :7]):
        found = layer(weight, (weight.shape[1], 12, 12), padding=1, padding_mode=mode)
        value = find_bound(found, "l2").value
        assert 1 - 1e-6 <= value <= 1 + 1e-6
    patch = orthogonal(rng, 16).reshape(16, 4, 2, 2)
    assert find_bound(layer(patch, (4, 8, 8), stride=2), "l2").value <= 1 + 1e-6
    back = layer(patch, (16, 4, 4), "transposed_convolution", stride=2)
    assert find_bound(back, "l2").value <= 1 + 1e-6
    one = 4.0 ** -scaled(kernel.astype(np.float32))[1]
    assert convolution_bound(layer(kernel, (32, 9, 9)), "l2", "residual", one) <= 1 + 1e-5


def test_one_part_in_a_million_above_one_is_seen() -> None:
    """What a bound of 1 from the construction would hide."""
    rng = np.random.default_rng(1)
    kernel = (block_orthogonal(rng, 8, 3) * (1 + 2.0**-18)).astype(np.float32)
    found = layer(kernel, (8, 10, 10), padding=1, padding_mode="circular")
    true = np.linalg.norm(matrix(found), 2)
    for method in METHODS:
        assert convolution_bound(found, "l2", method, 1.0001) >= true * (1 - 1e-14)
    assert find_bound(found, "l2").value >= 1 + 2.0**-19


def test_almost_orthogonal_kernels_are_bounded_by_one() -> None:
    """AOL: columns over the root of their absolute correlations; Schur's test finds the weights."""
    rng = np.random.default_rng(2)
    kernel = rng.standard_normal((12, 8, 3, 3))
    full = np.zeros((8, 8))
    for down in range(-2, 3):
        for across in range(-2, 3):
            part = np.zeros((8, 8))
            for t in range(3):
                for r in range(3):
                    if 0 <= t + down < 3 and 0 <= r + across < 3:
                        part += kernel[:, :, t, r].T @ kernel[:, :, t + down, r + across]
            full += np.abs(part)
    kernel /= np.sqrt(full.sum(axis=0))[None, :, None, None]
    value = convolution_bound(layer(kernel, (8, 64, 64), padding=1), "l2", "rows")
    assert value <= 1 + 1e-6


@pytest.mark.parametrize("shape", [(16, 16, 3, 3), (5, 12, 3, 3), (12, 5, 5, 1), (4, 4, 1, 1)])
def test_arbitrary_kernels_are_bounded_tightly(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    weight = rng.standard_normal(shape)
    sides = (shape[2] // 2, shape[3] // 2)
    if sides[0] == sides[1]:
        found = layer(weight, (shape[1], 8, 8), padding=sides[0], padding_mode="circular")
        true = np.linalg.norm(matrix(found), 2)
        assert true * (1 - 1e-13) <= find_bound(found, "l2").value <= true * (1 + 1e-6)
    zeros = layer(weight, (shape[1], 8, 8), padding=sides[0])
    true = np.linalg.norm(matrix(zeros), 2)
    assert true * (1 - 1e-13) <= find_bound(zeros, "l2").value <= true * 1.15


def test_row_sums_are_rational_sums() -> None:
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((3, 4, 3, 3)).astype(np.float32)
    exact = max(sum(abs(Fraction(float(v))) for v in row.reshape(-1)) for row in weight)
    value = Fraction(find_bound(layer(weight, (4, 9, 9)), "linf").value)
    assert exact <= value <= exact * Fraction(1000001, 1000000)


def test_roots_of_unity_are_accurate() -> None:
    for count in (1, 2, 3, 7, 30, 97):
        for index, parts in enumerate(circle(count)):
            value = complex(*(part / (1 << BITS) for part in parts))
            assert abs(value - cmath.exp(2j * cmath.pi * index / count)) < 2e-15


def test_special_kernels() -> None:
    zero = layer(np.zeros((2, 2, 3, 3)), (2, 5, 5))
    assert find_bound(zero, "l2").value == 0
    with np.errstate(under="ignore"):
        for size in (2.0**-149, 2.0**-120, float(np.finfo(np.float32).max)):
            weight = np.full((1, 1, 2, 2), size, dtype=np.float32)
            found = layer(weight, (1, 4, 4), padding=0, padding_mode="circular")
            assert found.out_shape == (1, 3, 3)
            true = 4 * Fraction(float(weight[0, 0, 0, 0])) * Fraction(3, 4)
            assert find_bound(found, "l2").value >= float(true)


def test_circular_padding_where_outputs_would_repeat_is_refused() -> None:
    with pytest.raises(Unsupported, match="circular"):
        layer(np.ones((1, 1, 1, 1)), (1, 4, 4), padding=1, padding_mode="circular")
    with pytest.raises(Unsupported, match="circular"):
        layer(np.ones((1, 1, 3, 3)), (1, 5, 5), padding=1, stride=2, padding_mode="circular")
    with pytest.raises(Unsupported, match="padding_mode"):
        layer(np.ones((1, 1, 3, 3)), (1, 5, 5), padding=1, padding_mode="reflect")


def test_a_long_image_has_no_table_of_frequencies() -> None:
    """A row of a million pixels: a proof by frequencies is not tried, whatever a file names."""
    long = layer(np.ones((1, 1, 1, 2)), (1, 1, 1_000_000))
    began = time.process_time()
    with pytest.raises(Unsupported):
        convolution_bound(long, "l2", "frequencies", 4.1)
    assert find_bound(long, "l2").value >= 2
    assert time.process_time() - began < 5
