"""Proven upper bounds of the operator norms of layers.

For the spectral norm, one fact serves every method: for any ``c`` and any matrix ``R``,

    ||W||^2 = lambda_max(W W') <= c^2 + ||c^2 I - W W' - R R'||_F ,

because ``c^2 I - W W' = R R' + E >= -||E||``. With ``R = 0`` this is the residual bound, good for
orthonormal weights (``c = 1``); with ``R`` a floating-point Cholesky factor it is tight for any
weight, and whether the factorisation was accurate plays no part in the proof. The Gram matrix is
taken on the smaller side. Rounding errors of the two products are bounded by
``gamma * || |A| |A|' ||_F <= gamma * ||A||_F^2``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.convolution_bounds import convolution_bound
from lipsort_cli.verifier.errors import Unsupported
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.layer import (
    CONTAINERS,
    CONVOLUTIONS,
    GROUPED,
    POOLS,
    SHUFFLES,
    Layer,
    normalization,
)
from lipsort_cli.verifier.pooling import order_weights
from lipsort_cli.verifier.rounding import (
    REAL,
    UNIT,
    add_up,
    gamma,
    inflate,
    mul_up,
    norm_up,
    ones_norm,
    up,
)

ONE_LIPSCHITZ = (*GROUPED, *SHUFFLES, "flatten", "identity", "relu", "abs", "tanh")


@dataclass(frozen=True)
class LayerBound:
    """Upper bound ``value`` of one layer's Lipschitz constant, how it was proven, and from what.

    ``witness`` is the ``c^2`` of the spectral bound, in units of ``4 ** exponent`` (0.0: none).
    ``parts`` are the bounds of the layers inside a container.
    """

    index: int
    op: str
    value: float
    method: str
    witness: float = 0.0
    parts: tuple[tuple[LayerBound, ...], ...] = ()


@dataclass(frozen=True)
class LayerwiseBound:
    """Upper bound ``value`` of a chain's constant: the upward-rounded product of its layers'."""

    value: float
    layers: tuple[LayerBound, ...]


def layer_bounds(network: Network, norm: str) -> list[LayerBound]:
    """A bound of every layer in ``norm`` (``l2``, ``linf`` or ``l1``)."""
    return [layer_bound(layer, norm) for layer in network.layers]


def layer_bound(layer: Layer, norm: str, method: str = "", witness: float = 0.0) -> LayerBound:
    """A proven bound of one layer; for a spectral norm ``method`` and ``witness`` pick the proof.

    Without a method the tightest is taken. A bad witness costs tightness, never soundness.
    """
    if layer.op == "dense":
        assert layer.weight is not None
        value, used, found = dense_bound(layer.weight, norm, method, witness)
        return LayerBound(layer.index, layer.op, value, used, found)
    if layer.op in CONVOLUTIONS:
        value, used, found = convolution_bound(layer, norm, method, witness)
        return LayerBound(layer.index, layer.op, value, used, found)
    if layer.op in CONTAINERS:
        return container_bound(
            layer, [[layer_bound(item, norm) for item in part] for part in layer.parts], norm
        )
    value, used = _simple_bound(layer, norm)
    return LayerBound(layer.index, layer.op, value, used)


def _simple_bound(layer: Layer, norm: str) -> tuple[float, str]:
    """The constant of a layer without a matrix, and how it is called."""
    if layer.op == "normalize":
        _, std = normalization(layer)
        return float(up(1.0 / std.min())), "largest 1/std"
    if layer.op == "scale":
        return abs(layer.numbers[0]), "factor"
    if layer.op == "leaky_relu":
        return max(1.0, abs(layer.numbers[0])), "slope"
    if layer.op == "sigmoid":
        return 0.25, "1/4"
    if layer.op in POOLS:
        return _pool_bound(layer, norm), "windows"
    if layer.op == "distance":
        return _distance_bound(layer, norm), "ranks"
    if layer.op == "order_statistic":
        # Piecewise each output is an input or its negative.
        return {"linf": 1.0, "l1": float(layer.width)}.get(
            norm, ones_norm(layer.width, "l2")
        ), "choice"
    if layer.op == "extension":
        return (ones_norm(layer.inputs, "l2") if norm == "linf" else 1.0), "centres"
    if layer.op in ONE_LIPSCHITZ:
        return 1.0, "1-Lipschitz"
    raise Unsupported(f"network.graph.{layer.place}.op", f"no bound for {layer.op!r}")


def _pool_bound(layer: Layer, norm: str) -> float:
    """Windows that overlap hold a pixel up to ``ceil(k / s)`` times along each axis."""
    overlap = -(-layer.size // layer.stride)
    share = float(up(overlap / layer.size)) if overlap < layer.size else 1.0
    if norm == "linf":
        return float(layer.size) if layer.op == "l2_pool" else 1.0
    if layer.op == "average_pool":
        return share if norm == "l2" else float(mul_up(share, share))
    return float(overlap if norm == "l2" else overlap * overlap)


def _distance_bound(layer: Layer, norm: str) -> float:
    """Each output's gradient holds the weights of the ranks, in some order, with signs."""
    if norm == "linf":
        return 1.0
    weights = order_weights(layer, REAL)
    if norm == "l1":
        return float(mul_up(layer.width, weights[0]))
    return float(mul_up(ones_norm(layer.width, "l2"), min(1.0, float(norm_up(weights, "l2")))))


def container_bound(layer: Layer, parts: list[list[LayerBound]], norm: str) -> LayerBound:
    """The constant of a residual block or a concatenation from those of the layers inside."""
    inner = [product(part).value for part in parts]
    if layer.op == "residual":
        skip, branch = (abs(number) for number in layer.numbers)
        value, method = float(add_up(skip, mul_up(branch, inner[0]))), "sum of branches"
    else:
        value, method = float(norm_up(np.array(inner), norm)), "norm of branches"
    kept = tuple(tuple(part) for part in parts)
    return LayerBound(layer.index, layer.op, value, method, parts=kept)


def product(bounds: list[LayerBound]) -> LayerwiseBound:
    """The bound of a chain of layers."""
    value = 1.0
    for bound in bounds:
        if bound.value != 1.0:
            value = float(mul_up(value, bound.value))
    return LayerwiseBound(value, tuple(bounds))


def dense_bound(
    weight: NDArray[np.float32], norm: str, method: str = "", witness: float = 0.0
) -> tuple[float, str, float]:
    """Upper bound of ``||W||`` from ``norm`` to ``norm``, its method and its witness."""
    absolute = np.abs(weight).astype(np.float64)
    if norm == "linf":
        sums = inflate(absolute.sum(axis=1), weight.shape[1])
        return float(np.max(sums)), "largest absolute row sum", 0.0
    if norm == "l1":
        sums = inflate(absolute.sum(axis=0), weight.shape[0])
        return float(np.max(sums)), "largest absolute column sum", 0.0
    return spectral_bound(weight, method, witness)


def spectral_bound(
    weight: NDArray[np.float32], method: str = "", witness: float = 0.0
) -> tuple[float, str, float]:
    """Upper bound of the largest singular value of ``weight [out, in]``."""
    matrix = weight.astype(np.float64)
    largest = float(np.abs(matrix).max())
    if largest == 0.0:
        return 0.0, "zero", 0.0
    # A power of two scales exactly, and keeps every product below far from under- and overflow.
    exponent = math.frexp(largest)[1]
    matrix = np.ldexp(matrix, -exponent)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = np.ascontiguousarray(matrix.T)
    size, inner = matrix.shape
    gram = matrix @ matrix.T
    frobenius2 = float(inflate(float(np.einsum("ij,ij->", matrix, matrix)), matrix.size))
    gram_error = float(mul_up(gamma(inner + 2, UNIT), frobenius2)) + 2.0**-900
    one = math.ldexp(1.0, -2 * exponent)
    best = (frobenius2, "frobenius", 0.0)
    if method in ("", "residual"):
        square = _square_bound(gram, gram_error, one, factorize=False)
        best = min(best, (square, "residual", one))
    tight = best[1] == "residual" and best[0] <= one * (1 + 2.0**-24)
    if method == "cholesky" or (not method and not tight):
        estimates = _centers(gram, frobenius2, size + inner) if not method else iter([witness])
        for center in estimates:
            square = _square_bound(gram, gram_error, center, factorize=True)
            if square < math.inf:
                best = min(best, (square, "cholesky", center))
                break
    root = float(up(up(math.sqrt(best[0]))))
    return math.ldexp(root, exponent), best[1], best[2]


def _centers(gram: NDArray[np.float64], frobenius2: float, count: int) -> Iterator[float]:
    """Numbers to try for ``c^2``, each a little further above the largest eigenvalue."""
    estimate = _largest_eigenvalue(gram)
    if not math.isfinite(estimate):
        return
    room = 8 * count * UNIT * frobenius2
    for share in (0.0, 2.0**-32, 2.0**-28, 2.0**-24, 2.0**-21, 2.0**-16, 2.0**-10, 2.0**-4, 1.0):
        yield (estimate + room) * (1 + share)


def _largest_eigenvalue(gram: NDArray[np.float64], steps: int = 64) -> float:
    """Lanczos estimate with full reorthogonalisation. Only an estimate: nothing rests on it."""
    size = gram.shape[0]
    steps = min(steps, size)
    basis = np.zeros((steps, size))
    vector = np.cos(np.arange(1.0, size + 1.0)) + gram.sum(axis=1)
    images = np.zeros_like(basis)
    for step in range(steps):
        length = float(np.linalg.norm(vector))
        if not 0 < length < math.inf:
            steps = step
            break
        basis[step] = vector / length
        images[step] = gram @ basis[step]
        vector = images[step]
        for _ in range(2):
            vector = vector - basis[: step + 1].T @ (basis[: step + 1] @ vector)
    if steps == 0:
        return float(np.trace(gram))
    small = basis[:steps] @ images[:steps].T
    try:
        return float(np.linalg.eigvalsh((small + small.T) / 2)[-1])
    except np.linalg.LinAlgError:
        return math.inf


def _square_bound(
    gram: NDArray[np.float64], gram_error: float, center: float, factorize: bool
) -> float:
    """``c^2 + ||c^2 I - G - R R'||_F`` rounded up, with ``R = 0`` or a Cholesky factor."""
    size = gram.shape[0]
    if not 0 < center < math.inf:
        return math.inf
    shifted = -gram
    shifted[np.diag_indices(size)] += center
    scale = add_up(_frobenius(gram), mul_up(center, up(math.sqrt(size))))
    error = add_up(gram_error, mul_up(4 * UNIT, scale))
    residual = shifted
    if factorize:
        try:
            factor = np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            return math.inf
        if not np.isfinite(factor).all():
            return math.inf
        approximation = factor @ factor.T
        factor2 = inflate(float(np.einsum("ij,ij->", factor, factor)), factor.size)
        error = add_up(
            error,
            mul_up(gamma(size + 2, UNIT), factor2),
            mul_up(4 * UNIT, add_up(scale, _frobenius(approximation))),
            2.0**-900,
        )
        residual = shifted - approximation
    return float(add_up(center, _frobenius(residual), error))


def _frobenius(matrix: NDArray[np.float64]) -> float:
    return float(norm_up(matrix.reshape(-1), "l2"))
