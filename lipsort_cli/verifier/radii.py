"""The head rule: from margins, constants and evaluation errors to certified radii.

With body constant ``lip``, head rows ``w_j`` and label ``y``, an input within ``r`` of ``x`` keeps
logit ``y`` above logit ``j``, in the arithmetic claimed, if

    f_y(x) - f_j(x) > (lip * ||w_y - w_j||_dual) r + errors of binary64 + errors of the arithmetic.

Everything on the right is affine in ``r``, so the largest ``r`` is one division. A network that
does not end in a dense layer gets unit vectors as head rows: ``||e_y - e_j||_2 = sqrt(2)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.bounds import LayerBound, layer_bounds, product
from lipsort_cli.verifier.evaluation import chunks, propagate
from lipsort_cli.verifier.graph import Layer, Network
from lipsort_cli.verifier.operands import Operands
from lipsort_cli.verifier.rounding import (
    BINARY64,
    DUAL,
    Arithmetic,
    Floats,
    add_up,
    down,
    gamma,
    mul_up,
    norm_up,
)

LARGEST_RADIUS = 2.0**60
SLACK = 2.0**-40
"""Relative reduction of radii: strict inequality on the closed ball, and room for another BLAS."""


@dataclass(frozen=True)
class Split:
    """A network as ``body``, linear ``head`` (or none) and trailing positive scales ``tail``."""

    body: tuple[Layer, ...]
    head: Layer | None
    tail: tuple[Layer, ...]


def split(network: Network) -> Split:
    """Cut a network before its last dense layer, if only positive scales follow that layer."""
    layers = network.layers
    end = len(layers)
    while end and (
        layers[end - 1].op == "identity"
        or (layers[end - 1].op == "scale" and layers[end - 1].numbers[0] >= 2.0**-60)
    ):
        end -= 1
    if end and layers[end - 1].op == "dense":
        tail = tuple(layer for layer in layers[end:] if layer.op == "scale")
        return Split(layers[: end - 1], layers[end - 1], tail)
    return Split(layers, None, ())


@dataclass(frozen=True)
class Radii:
    """``predictions`` ``[N]`` (argmax of binary64 logits) and certified ``radii`` ``[N]``.

    ``possible`` ``[N, C]``: the classes that rounding leaves open as the argmax.
    """

    predictions: NDArray[np.int64]
    radii: Floats
    possible: NDArray[np.bool_]


@dataclass(frozen=True)
class Head:
    """Norms of a head ``[C, n]``: ``pairs[y, j] >= ||w_y - w_j||``, ``rows[j] >= ||w_j||``.

    ``spread[j]`` is the ``B`` of row j's rounding errors (see :mod:`evaluation`).
    """

    operands: Operands | None
    pairs: Floats
    rows: Floats
    spread: Floats

    @classmethod
    def of(cls, parts: Split, classes: int, norm: str, arithmetic: Arithmetic) -> Head:
        """The head of a network that was split, with its norms rounded up."""
        dual = DUAL[norm]
        if parts.head is None:
            pair = norm_up(np.array([1.0, -1.0]), dual)
            pairs = np.where(np.eye(classes, dtype=bool), 0.0, pair)
            return cls(None, pairs, np.ones(classes), np.ones(classes))
        operands = Operands.of(parts.head, arithmetic)
        weight = operands.weight
        pairs = np.stack([norm_up(weight - row, dual) for row in weight])
        rows = norm_up(operands.absolute, dual)
        return cls(operands, pairs, rows, np.asarray(operands.spread(rows, rows)))


def certified_radii(
    network: Network,
    inputs: NDArray[np.floating],
    labels: NDArray[np.int64],
    norm: str,
    arithmetic: Arithmetic,
    bounds: list[LayerBound] | None = None,
    guard: float = 1.0,
) -> Radii:
    """Predictions and certified radii of ``inputs [N, *input_shape]`` with ``labels [N]``.

    ``bounds`` must be proven bounds of the layers in ``norm``; by default they are derived here.
    ``guard >= 1`` multiplies the error bound of binary64: an issuer takes more than 1, so that
    another machine's sums confirm its radii. A radius of 0.0 means: not certified. That is the
    answer for wrong predictions, ties, NaN, infinities and whatever might overflow.
    """
    bounds = layer_bounds(network, norm) if bounds is None else bounds
    parts = split(network)
    head = Head.of(parts, network.classes, norm, arithmetic)
    flat = inputs.reshape(len(inputs), network.inputs)
    predictions = np.zeros(len(flat), dtype=np.int64)
    radii = np.zeros(len(flat))
    possible = np.ones((len(flat), network.classes), dtype=bool)
    for part in chunks(network.layers, len(flat)):
        predictions[part], radii[part], possible[part] = _chunk(
            parts, head, flat[part], labels[part], norm, arithmetic, bounds, guard
        )
    return Radii(predictions, radii, possible)


def _chunk(
    parts: Split,
    head: Head,
    inputs: NDArray[np.floating],
    labels: NDArray[np.int64],
    norm: str,
    arithmetic: Arithmetic,
    bounds: list[LayerBound],
    guard: float,
) -> tuple[NDArray[np.int64], Floats, NDArray[np.bool_]]:
    values = inputs.astype(np.float64)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    values = np.where(finite[:, None], values, 0.0)
    state = propagate(parts.body, bounds[: len(parts.body)], values, norm, arithmetic)
    classes = len(head.rows)
    with np.errstate(all="ignore"):
        if head.operands is None:
            logits, sizes, count, flushed = state.values, np.abs(state.values), 0, 0.0
        else:
            logits = head.operands.apply(state.values)
            sizes = head.operands.magnitude(state.values, logits)
            count, flushed = head.operands.count, head.operands.flushed
        predictions = np.where(np.isnan(logits), -np.inf, logits).argmax(axis=1)
        own = mul_up(gamma(count, BINARY64.unit), sizes) if count else 0.0 * sizes
        own = guard * add_up(own, 2 * BINARY64.tiny * flushed)
        total, small = _tail(parts, count, flushed)
        error = gamma(total, arithmetic.unit)
        error = error if error <= 0.5 else np.inf
        drift = add_up(state.d64, state.d0)[:, None]
        travel = add_up(state.lip, state.d1)[:, None]
        base = add_up(sizes, mul_up(head.spread, drift))
        slope = mul_up(head.spread, travel)
        if error > 0:
            other = add_up(mul_up(error, base), 2 * arithmetic.tiny * small)
            rate = mul_up(error, slope)
        else:
            other, rate = 0.0 * sizes, 0.0 * sizes
        doubt = 4 * (np.asarray(own) + mul_up(head.rows, guard * state.d64[:, None]))
        leader = logits[np.arange(len(values)), predictions][:, None] - doubt.max(axis=1)[:, None]
        possible = ~(logits + doubt < leader)
        allowed: NDArray[np.bool_] = (labels >= 0) & (labels < classes)
        chosen = np.where(allowed, labels, 0)
        row = np.arange(len(values))
        pairs = head.pairs[chosen]
        lost = add_up(
            mul_up(pairs, add_up(guard * state.d64, state.d0)[:, None]),
            own + own[row, chosen][:, None],
            add_up(other, other[row, chosen][:, None]),
        )
        margins = down(down(logits[row, chosen][:, None] - logits) - lost)
        speed = add_up(mul_up(pairs, travel), add_up(rate, rate[row, chosen][:, None]), 1e-300)
        radii = down(down(margins / speed) * (1 - SLACK))
        radii[row, chosen] = LARGEST_RADIUS
        smallest = np.minimum(radii.min(axis=1), LARGEST_RADIUS)
        factor = _tail_factor(parts)
        state.magnitudes.append((_most(base, 2 * factor), _most(slope, 2 * factor)))
        good = allowed & finite & (predictions == labels) & (smallest > 0)
        good &= state.fits(np.where(good, smallest, 0.0), arithmetic)
        good &= classes > 1
    return predictions, np.where(good, smallest, 0.0), possible


def _tail(parts: Split, count: int, flushed: float) -> tuple[int, float]:
    """Rounding steps and underflow of head and trailing scales, in units of the head's logits."""
    small, factor = flushed, 1.0
    for layer in parts.tail:
        factor *= layer.numbers[0]
        small += 16 * (1 + layer.numbers[0]) / min(factor, 1.0)
    return count + 4 * len(parts.tail), small


def _tail_factor(parts: Split) -> float:
    largest, factor = 1.0, 1.0
    for layer in parts.tail:
        factor = float(mul_up(factor, layer.numbers[0]))
        largest = max(largest, factor)
    return largest


def _most(values: Floats, factor: float) -> Floats:
    return np.asarray(mul_up(factor, values.max(axis=1)))


def output_errors(
    network: Network,
    inputs: NDArray[np.floating],
    norm: str,
    arithmetic: Arithmetic,
    bounds: list[LayerBound] | None = None,
) -> tuple[Floats, Floats]:
    """Binary64 logits ``[N, C]`` and, for each point ``[N]``, a bound of every logit's distance
    between them and what ``arithmetic`` (``real``: exact arithmetic) gives; infinite when unknown.
    """
    bounds = layer_bounds(network, norm) if bounds is None else bounds
    flat = inputs.reshape(len(inputs), network.inputs)
    logits = np.zeros((len(flat), network.classes))
    errors = np.zeros(len(flat))
    for part in chunks(network.layers, len(flat)):
        values = flat[part].astype(np.float64)
        state = propagate(network.layers, bounds, values, norm, arithmetic)
        logits[part] = state.values
        bound = np.asarray(add_up(state.d64, state.d0))
        fits = state.fits(np.zeros(len(values)), arithmetic)
        sound = fits & np.isfinite(values).all(axis=1) & ~np.isnan(bound)
        errors[part] = np.where(sound, bound, np.inf)
    return logits, errors


def whole_bound(network: Network, norm: str, bounds: list[LayerBound] | None = None) -> float:
    """Upper bound of the network's Lipschitz constant."""
    return product(layer_bounds(network, norm) if bounds is None else bounds).value
