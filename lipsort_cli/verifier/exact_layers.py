"""Exact proofs of layer bounds: integer Gram matrices, no rounding anywhere.

The inequality is that of :mod:`lipsort_cli.verifier.bounds`; here both sides are integers.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from lipsort_cli.verifier.bounds import LayerBound
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.integers import Dyadic, Integers, dyadic, matrix, root_up, unpack
from lipsort_cli.verifier.layer import GROUPED, SHUFFLES, Layer, normalization

_DIGITS = 60


EXACT = (
    *("dense", "normalize", "scale", "leaky_relu", "flatten", "identity", "relu", "abs"),
    *GROUPED,
    *SHUFFLES,
)
"""Operations that can be judged in integers."""


def require_exact(layer: Layer) -> None:
    """Raise Unsupported for an operation that has no rule in exact arithmetic."""
    if layer.op not in EXACT:
        raise Unsupported(
            f"network.graph.{layer.place}.op",
            f"--exact has no rule for {layer.op!r}; without --exact it is verified in binary64",
        )


def prove_layer(layer: Layer, claim: LayerBound, norm: str) -> None:
    """Raise Invalid unless ``claim.value`` bounds the layer's constant, exactly."""
    require_exact(layer)
    value = Fraction(claim.value)
    if layer.op == "dense":
        proven = _dense(layer, claim, norm, value)
    elif layer.op == "normalize":
        _, std = normalization(layer)
        proven = value * Fraction(float(std.min())) >= 1
    elif layer.op == "scale":
        proven = value >= abs(Fraction(layer.numbers[0]))
    elif layer.op == "leaky_relu":
        proven = value >= max(Fraction(1), abs(Fraction(layer.numbers[0])))
    elif layer.op == "sigmoid":
        proven = value >= Fraction(1, 4)
    else:
        proven = value >= 1
    if not proven:
        raise Invalid(f"layers[{layer.index}].bound", "is not proven in exact arithmetic")


def _dense(layer: Layer, claim: LayerBound, norm: str, value: Fraction) -> bool:
    assert layer.weight is not None
    exact = dyadic(layer.weight)
    unit = Fraction(1, 1 << exact.shift)
    if norm in ("linf", "l1"):
        sums = abs(exact.values).sum(axis=1 if norm == "linf" else 0)
        return value >= int(sums.max()) * unit
    values = exact.values if layer.weight.shape[0] <= layer.weight.shape[1] else exact.values.T
    frobenius2 = int((values * values).sum()) * unit * unit
    if value * value >= frobenius2:
        return True
    flint = matrix(values)
    gram = Dyadic(unpack(flint * flint.transpose()), 2 * exact.shift)
    # The weight was scaled by a power of two when the witness was found; undo that exactly.
    exponent = math.frexp(float(np.abs(layer.weight).max()))[1]
    center = Fraction(claim.witness) * Fraction(4) ** exponent
    if claim.method == "residual":
        return center + _distance(gram, center, None) <= value * value
    factor = _factor(layer.weight, claim.witness, exponent)
    return factor is not None and center + _distance(gram, center, factor) <= value * value


def _factor(weight: np.ndarray, witness: float, exponent: int) -> Dyadic | None:
    """A Cholesky factor computed in binary64 and rounded to ``_DIGITS`` digits: only a hint."""
    scaled = np.ldexp(weight.astype(np.float64), -exponent)
    scaled = scaled if scaled.shape[0] <= scaled.shape[1] else scaled.T
    shifted = -(scaled @ scaled.T)
    shifted[np.diag_indices(len(shifted))] += witness
    try:
        factor = np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return None
    rounded = np.rint(np.ldexp(factor, _DIGITS))
    integers: Integers = np.asarray(np.frompyfunc(int, 1, 1)(rounded), dtype=object)
    if exponent >= 0:
        return Dyadic(np.asarray(integers << exponent, dtype=object), _DIGITS)
    return Dyadic(integers, _DIGITS - exponent)


def _distance(gram: Dyadic, center: Fraction, factor: Dyadic | None) -> Fraction:
    """``||c^2 I - G - R R'||_F``, rounded up by less than one unit of a very fine grid."""
    shift = max(gram.shift, center.denominator.bit_length() - 1)
    if factor is not None:
        shift = max(shift, 2 * factor.shift)
    rest: Integers = -(gram.values << (shift - gram.shift))
    rest[np.diag_indices(len(rest))] += center.numerator * (1 << shift) // center.denominator
    if factor is not None:
        flint = matrix(factor.values)
        rest = rest - (unpack(flint * flint.transpose()) << (shift - 2 * factor.shift))
    return Fraction(root_up(int((rest * rest).sum())), 1 << shift)


def prove_chain(layers: tuple[Layer, ...], claims: list[LayerBound], kind: str) -> Fraction:
    """Prove every layer bound exactly; returns their exact product."""
    product = Fraction(1)
    for layer, claim in zip(layers, claims, strict=True):
        prove_layer(layer, claim, kind)
        product *= Fraction(claim.value)
    return product
