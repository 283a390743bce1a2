"""Matrices: their norms, and operations that add up products with what is known of their errors.

T1, the largest singular value:

    ||W||^2 = lambda_max(W W') <= c^2 + ||c^2 I - W W' - R R'||_F    for any c and any matrix R

``residual`` takes ``R = 0``, ``cholesky`` a floating-point Cholesky factor: whether that is
accurate plays no part in the proof. The Gram matrix is taken on the smaller side.

T4: a row of ``n`` inputs adds up ``n + 1`` terms with ``n`` additions, each off by at most ``u``
times its result. With ``z = w a + b``, ``S = |w||a| + |b|``, every partial sum, in whatever order,
is within ``(S + |z|) / 2 + gamma S`` of zero; so a component errs by at most ``gamma(n + 2) s``,
``s = (S + |z|) / 2 + S (1 + (n + 2) gamma) / (n + 2)``. In norm, with ``A >= || |W| ||`` and
``L >= ||W||``, ``B = (A + L) / 2 + A (1 + (n + 2) gamma) / (n + 2)``.
"""

import math
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .operation import Layer, of
from .rounding import DUAL, UNIT, Arithmetic, ceiling, gamma
from .state import State

SUMS = {"linf": "largest absolute row sum", "l1": "largest absolute column sum"}  # methods


def scaled(weight: NDArray[np.float32]) -> tuple[NDArray[np.float64], int]:
    """``W / 2^e`` and ``e``, ``2^e`` just above max |W|.

    A power of two scales exactly, and keeps every product far from under- and overflow.
    """
    exponent = math.frexp(float(np.abs(weight).max()))[1]
    return np.ldexp(weight.astype(np.float64), -exponent), exponent


def frobenius(m: Any, matrix: Any) -> Any:
    """At least the Frobenius norm."""
    return m.norm(matrix.reshape(-1), "l2")


def spectral_bound(weight: NDArray[np.float32], m: Any, method: str, witness: float) -> Any:
    """Upper bound of the largest singular value of ``weight [out, in]``, by one of the methods.

    ``witness`` is ``c^2`` in units of ``4 ** e``.
    """
    array, exponent = scaled(weight)
    matrix = m.array(array if len(array) <= array.shape[1] else np.ascontiguousarray(array.T))
    if method == "frobenius":
        square = frobenius(m, matrix) * frobenius(m, matrix)
    else:
        square = square_bound(matrix, witness, m, factorize=method == "cholesky")
    return m.root(square) * 2.0**exponent


def square_bound(matrix: Any, center: float, m: Any, factorize: bool) -> Any:
    """``c^2 + ||c^2 I - W W' - R R'||_F``, with ``R = 0`` or a Cholesky factor; or infinity."""
    if not 0 < center < math.inf:
        return m.upper(math.inf)

    def less(rest: Any, factor: Any, lost: Any) -> tuple[Any, Any]:
        square = m.product(factor, factor)
        sizes = frobenius(m, rest) + frobenius(m, square)
        return rest - square, lost + sizes * (4 * m.unit)

    identity = m.array(np.eye(matrix.shape[0]) * center)
    rest, lost = less(identity, matrix, m.lost_in_product(matrix, matrix))
    if factorize:
        try:
            hint = np.linalg.cholesky(m.floats(rest))
        except np.linalg.LinAlgError:
            return m.upper(math.inf)
        if not np.isfinite(hint).all():
            return m.upper(math.inf)
        factor = m.array(hint)
        rest, lost = less(rest, factor, lost + m.lost_in_product(factor, factor))
    return m.upper(center) + frobenius(m, rest) + lost


def mixed_norm(m: Any, weight: Any, entry: str, norm: str) -> Any:
    """At least ``sup ||W x||_norm`` over ``||x||_entry <= 1``, for a matrix ``W`` of ``m``.

    ``|w_i x| <= ||w_i||_dual ||x||_entry`` row by row, and ``W x`` is a sum of columns times
    components of x: the norm of the rows' dual norms, or the dual norm of the columns' norms.
    """
    dual, turned = DUAL[entry], m.select(lambda matrix: matrix.T, weight)
    rows, columns = m.norm(weight, dual), m.norm(turned, norm)
    return m.norm(rows, norm).min(m.norm(columns, dual))


class Linear:
    """``W a + b`` on the machine ``m``, prepared for error bounds in ``arithmetic``.

    ``absolute`` stands for ``|W|`` in error bounds. A subnormal weight may be taken as zero by an
    arithmetic that flushes; its entry is raised so that half of ``gamma * absolute`` covers that.
    What flushed products, sums and activations lose is at most ``flushed * tiny`` a component.
    ``norms`` are the ``A``: of the operator with ``absolute`` for its weight.
    """

    def __init__(self, layer: Layer, arithmetic: Arithmetic, m: Any) -> None:
        self.m, self.layer, self.weight = m, layer, m.array(layer.matrix)
        self.operation = of(layer)  # says what the terms of a component are
        count = self.count = self.operation.terms(layer) + 2
        error = gamma(count, arithmetic.unit)
        sizes = np.abs(layer.matrix.astype(np.float64))
        subnormal = (sizes > 0) & (sizes < arithmetic.tiny)
        self.absolute = abs(self.weight)
        if subnormal.any():
            raised = np.where(subnormal, 4 + math.ceil(2 / error), 1.0)
            self.absolute = self.absolute * m.array(raised)
        bias = np.zeros(layer.width)
        if layer.bias is not None:
            bias = np.repeat(layer.bias.astype(np.float64), math.prod(layer.out_shape[1:]))
        self.bias = m.array(bias)
        rows, columns = self.operation.sums(layer, m, self.absolute)
        spectral = m.root(rows * columns)
        if layer.matrix.ndim == 2:
            spectral = spectral.min(frobenius(m, self.absolute))
        self.norms = {("linf", "linf"): rows, ("l1", "l1"): columns, ("l2", "l2"): spectral}
        self.flushed = rows * 4.0 + m.upper(8 * count)
        # S enters with this share besides its half.
        worst = max(error, gamma(count, UNIT))
        self.share = ceiling((1 + count * Fraction(worst)) / count) if worst < 1 else math.inf

    @classmethod
    def of(cls, layer: Layer, arithmetic: Arithmetic, m: Any) -> Self:
        """Kept by the machine for the next batch."""
        key = (id(layer), arithmetic.name)  # no other's: what is kept holds the layer
        if key not in m.prepared:
            m.prepared[key] = cls(layer, arithmetic, m)
        return m.prepared[key]

    def apply(self, values: Any) -> Any:
        """``W a + b`` for ``[N, n]``."""
        return self.operation.product(self.layer, self.m, values, self.weight) + self.bias

    def magnitude(self, values: Any, results: Any) -> Any:
        """Upper bound of ``s`` ``[N, m]`` at ``a = values [N, n]``, with ``results`` = W a + b."""
        products = self.operation.product(self.layer, self.m, abs(values), self.absolute)
        sums = products + abs(self.bias)
        return self.m.enlarge((sums + abs(results)) * 0.5 + sums * self.share, self.count)

    def spread(self, absolute: Any, signed: Any) -> Any:
        """``B`` from ``A`` and ``L``; element by element for the rows of a head."""
        return (absolute + signed) * 0.5 + absolute * self.share

    def step(self, layer: Layer, state: State, lipschitz: float, norm: str = "") -> None:
        """Carry values and errors over the layer; from there on, they are measured in ``norm``."""
        m, before, norms = state.m, state.values, (state.norm, norm or state.norm)
        if norms not in self.norms:
            self.norms[norms] = mixed_norm(m, self.absolute, *norms)
        state.values, state.norm = self.apply(before), norms[1]
        sizes = m.norm(self.magnitude(before, state.values), state.norm)
        spread = self.spread(self.norms[norms], m.upper(lipschitz))
        state.rounded(layer, lipschitz, sizes, self.count, self.flushed, spread=spread)
