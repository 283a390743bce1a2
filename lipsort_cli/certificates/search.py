"""The tightest proofs of Lipschitz constants: what a certificate names, for the verifier to check.

Nothing rests on how they are found: a bad witness proves less, and says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verification.effort import kernel_products
from lipsort_cli.verifier.bounds import MIXED, Route, layer_norms, proven
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.linear import scaled, square_bound
from lipsort_cli.verifier.operation import Layer, LayerBound, of
from lipsort_cli.verifier.operations._kernels import (
    FOLDED,
    LARGEST_PERIOD,
    Folded,
    absolute_sums,
    folded_shape,
    periods,
)
from lipsort_cli.verifier.rounding import UNIT, Binary64

Floats = NDArray[np.float64]
TIGHT = 1 + 2.0**-24
TIGHT_KERNEL = 1 + 2.0**-22
"""Squares of bounds up to which nothing better than a residual is looked for."""
WORK = 3e11
"""Multiplications that the frequencies of one layer may take."""


class Proof(NamedTuple):
    """What a method proves of a squared norm, and its witness."""

    square: Any
    method: str
    witness: float = 0.0


def find_bound(
    layer: Layer,
    norm: str,
    entry: str = "",
    parts: Sequence[Sequence[LayerBound]] | None = None,
) -> LayerBound:
    """The tightest proven bound of one layer from ``entry`` (without: ``norm``) to ``norm``.

    ``parts``: proven bounds of the layers inside a container; those found here by default.
    """
    if parts is None:
        parts = [[find_bound(item, norm) for item in part] for part in layer.parts]
    inner = tuple(tuple(part) for part in parts)
    claim = LayerBound(layer.index, layer.op, 0.0, MIXED, 0.0, inner)
    if not entry or entry == norm:
        method, witness = of(layer).proofs(norm)[0], 0.0
        if norm == "l2" and layer.weight is not None and not layer.weight.any():
            method = "zero" if "zero" in of(layer).methods else method
        elif norm == "l2" and layer.op == "dense":
            _, method, witness = _dense_proof(layer)
        elif norm == "l2" and "frequencies" in of(layer).methods:
            _, method, witness = _kernel_proof(layer)
        claim = replace(claim, method=method, witness=witness)
    value = proven(layer, claim, (entry or norm, norm), Binary64(), layer.place).value
    return replace(claim, value=float(value))


def find_bounds(network: Network, norm: str, inputs: str = "") -> list[LayerBound]:
    """Bounds of all layers; ``inputs``: the norm of inputs, where it is another one."""
    pairs = layer_norms(network.layers, inputs or norm, norm)
    return [
        find_bound(layer, after, before)
        for layer, (before, after) in zip(network.layers, pairs, strict=True)
    ]


def find_route(network: Network, norm: str, inputs: str = "") -> Route:
    """A route with these bounds."""
    return Route(norm, tuple(find_bounds(network, norm, inputs)), inputs or norm)


def _dense_proof(layer: Layer) -> Proof:
    assert layer.weight is not None
    m, (matrix, exponent) = Binary64(), scaled(layer.weight)
    matrix = matrix if len(matrix) <= matrix.shape[1] else np.ascontiguousarray(matrix.T)
    one, frobenius = math.ldexp(1.0, -2 * exponent), m.norm(matrix.reshape(-1), "l2")
    best = Proof(frobenius * frobenius, "frobenius")
    residual = Proof(square_bound(matrix, one, m, factorize=False), "residual", one)
    if residual.square < best.square:
        best = residual
    if best is residual and best.square < m.upper(one * TIGHT):
        return best
    room = 8 * sum(matrix.shape) * UNIT * best.square.value
    for center in centers(largest_eigenvalue(matrix @ matrix.T) + room):
        square = square_bound(matrix, center, m, factorize=True)
        if square < m.upper(math.inf):
            return Proof(square, "cholesky", center) if square < best.square else best
    return best


def _kernel_proof(layer: Layer) -> Proof:
    """Of a convolution: by sums, by correlations, by frequencies where that is not tight."""
    assert layer.weight is not None
    m, one = Binary64(), math.ldexp(1.0, -2 * scaled(layer.weight)[1])
    rows, columns = absolute_sums(layer, m, m.array(np.abs(scaled(layer.weight)[0])))
    best = Proof(rows * columns, "absolute sums")
    if math.prod(folded_shape(layer)) > FOLDED:
        return best
    kernel = Folded.of(layer, m)
    residual, rows = kernel.spatial(one)
    for proof in (Proof(residual, "residual", one), Proof(rows, "rows")):
        best = proof if proof.square < best.square else best
    long = max(periods(layer)) > LARGEST_PERIOD or kernel_products(layer, "frequencies", 0.0) > WORK
    if long or best.square < m.upper(one * TIGHT_KERNEL):
        return best
    symbols = itertools.chain.from_iterable(map(kernel.symbols, kernel.blocks))
    for center in centers(largest_square(symbols)):
        square = kernel.frequencies(center)
        if square < m.upper(math.inf):
            return Proof(square, "frequencies", center) if square < best.square else best
    return best


def centers(estimate: float) -> Iterator[float]:
    """Numbers to try for ``c^2``, each a little further above an estimate of the largest."""
    if math.isfinite(estimate):
        for share in (0.0, 2.0**-36, 2.0**-32, 2.0**-28, 2.0**-24, 2.0**-21, 2.0**-16, 2.0**-10,
                      2.0**-4, 1.0):  # fmt: skip
            yield estimate * (1 + share)


def largest_eigenvalue(gram: Floats, steps: int = 64) -> float:
    """Lanczos with full reorthogonalisation."""
    steps = min(steps, len(gram))
    basis = np.zeros((steps, len(gram)))
    vector = np.cos(np.arange(1.0, len(gram) + 1.0)) + gram.sum(axis=1)
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


def largest_square(matrices: Iterable[Floats]) -> float:
    """About the largest squared singular value of any of some matrices."""
    leaders: list[tuple[float, int, Floats]] = []
    for place, matrix in enumerate(matrices):
        leaders.append((largest_eigenvalue(matrix @ matrix.T, 12), place, matrix))
        leaders = sorted(leaders, key=lambda item: item[:2])[-4:]
    return max(float(np.linalg.norm(leader[2], 2)) ** 2 for leader in leaders) * (1 + 2.0**-40)
