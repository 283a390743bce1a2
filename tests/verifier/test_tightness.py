"""Layer bounds against singular values, ball arithmetic and exact integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.certificates.search import find_bound
from lipsort_cli.verifier.bounds import prove_chain
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.exact import Exact
from lipsort_cli.verifier.linear import spectral_bound as bound_on
from lipsort_cli.verifier.operation import Layer, LayerBound
from lipsort_cli.verifier.rounding import Binary64, down


def spectral_bound(weight: np.ndarray, method: str = "", witness: float = 0.0) -> float:
    if not method:
        return find_bound(dense(weight), "l2").value
    return float(bound_on(weight, Binary64(), method, witness).value)


def dense(weight: np.ndarray) -> Layer:
    weight = np.ascontiguousarray(weight, dtype=np.float32)
    return Layer(0, "dense", weight.shape[1], weight.shape[0], weight)


@pytest.mark.parametrize("shape", [(1024, 1024), (1024, 300), (10, 1024)])
def test_orthonormal_layers_are_bounded_tightly(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))[0]
    weight = (basis if shape[0] >= shape[1] else basis.T).astype(np.float32)
    value = spectral_bound(weight)
    largest = np.linalg.norm(weight.astype(np.float64), 2)
    assert 0 <= value / largest - 1 + 1e-14 <= 2e-6


def test_badly_orthonormal_layers_are_bounded_tightly() -> None:
    rng = np.random.default_rng(1)
    weight = np.linalg.qr(rng.standard_normal((256, 256)))[0] + 1e-5 * rng.standard_normal(
        (256, 256)
    )
    weight = weight.astype(np.float32)
    largest = np.linalg.norm(weight.astype(np.float64), 2)
    assert 0 <= spectral_bound(weight) / largest - 1 + 1e-14 <= 2e-6


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    seed=st.integers(0, 10**6),
    exponent=st.integers(-120, 100),
    sparse=st.booleans(),
)
def test_bounds_are_proven_by_exact_integers(
    rows: int, columns: int, seed: int, exponent: int, sparse: bool
) -> None:
    """What binary64 derives, exact integers confirm; a bound below the norm they refuse."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((rows, columns))
    if sparse:
        weight *= rng.random((rows, columns)) < 0.4
    with np.errstate(under="ignore"):
        layer = dense(np.ldexp(weight, exponent))
    for norm in ("l2", "linf", "l1"):
        bound = find_bound(layer, norm)
        prove_chain([layer], [bound], norm, Exact(96))
        if layer.weight is not None and layer.weight.any():
            low = LayerBound(
                0, "dense", float(bound.value * (1 - 1e-5)), bound.method, bound.witness
            )
            with pytest.raises(Invalid):
                prove_chain([layer], [low], norm, Exact(96))


def test_ball_arithmetic_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow referee: c^2 I - W W' is positive definite, decided by python-flint's balls."""
    flint = pytest.importorskip("flint")
    monkeypatch.setattr(flint.ctx, "prec", 300)
    rng = np.random.default_rng(2)
    for shape in [(8, 8), (5, 12), (12, 5)]:
        weight = rng.standard_normal(shape).astype(np.float32)
        value = spectral_bound(weight)
        small = weight if shape[0] <= shape[1] else weight.T
        matrix = flint.arb_mat([[float(entry) for entry in row] for row in small])
        size = small.shape[0]
        identity = flint.arb_mat([[float(i == j) for j in range(size)] for i in range(size)])
        gram = matrix * matrix.transpose()

        def definite(square: object, gram: object = gram, identity: object = identity) -> bool:
            """Sylvester: every leading minor is positive."""
            shifted = (identity * square - gram).tolist()  # type: ignore[operator]
            minors = [
                flint.arb_mat([row[:k] for row in shifted[:k]]).det()
                for k in range(1, len(shifted) + 1)
            ]
            return all(bool(minor > 0) for minor in minors)

        above = flint.arb(value) * flint.arb(value) * flint.arb(1)
        below = flint.arb(value) * flint.arb(value) * flint.arb(1 - 1e-6)
        assert definite(above)
        assert not definite(below)


def test_a_bad_witness_proves_nothing_false() -> None:
    """Any method and witness give a bound that holds; the hint cannot make it too small."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((9, 14)).astype(np.float32)
    largest = np.linalg.norm(weight.astype(np.float64), 2)
    for method in ("residual", "cholesky", "frobenius"):
        for witness in (0.0, 1e-9, 0.5, 1.0, 7.0, 1e300, 5e-324):
            assert spectral_bound(weight, method, witness) >= down(largest * (1 - 1e-14))


def test_special_matrices() -> None:
    assert spectral_bound(np.zeros((3, 4), dtype=np.float32)) == 0
    assert 1 <= spectral_bound(np.eye(5, dtype=np.float32)) <= 1 + 1e-7
    ones = np.ones((6, 6), dtype=np.float32)
    assert 6 <= spectral_bound(ones) <= 6 * (1 + 1e-6)
    tiny = np.full((2, 2), 2.0**-149, dtype=np.float32)
    assert 2 * 2.0**-149 <= spectral_bound(tiny) <= 2 * 2.0**-149 * (1 + 1e-6)
    huge = np.full((2, 2), np.finfo(np.float32).max)
    assert 2 * float(huge[0, 0]) <= spectral_bound(huge) <= 2 * float(huge[0, 0]) * (1 + 1e-6)
