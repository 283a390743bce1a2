"""The head rule: from margins, constants and evaluation errors to certified radii.

With body constant ``lip``, head rows ``w_j`` and label ``y``, an input within ``r`` of ``x`` keeps
logit ``y`` above logit ``j``, in the arithmetic claimed, if

    f_y(x) - f_j(x) > (lip * ||w_y - w_j||_dual) r + errors of this machine + of the arithmetic.

Everything on the right is affine in ``r``, so the largest ``r`` is one division. A network that
does not end in a dense layer gets unit vectors as head rows: ``||e_y - e_j||_2 = sqrt(2)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bounds import Route, sweep
from .graph import Network
from .linear import Linear
from .operation import Layer
from .rounding import DUAL, Arithmetic, Binary64, Floats, conversion, down
from .state import State

Labels = NDArray[np.int64]
LARGEST_RADIUS = 2.0**60
SLACK = 2.0**-40
"""Relative reduction of radii: strict inequality on the closed ball, and room for another BLAS."""
SMALLEST_TAIL = 2.0**-60
"""Scales after the head whose product is smaller are part of the body: logits might vanish."""


class Split(NamedTuple):
    """A network as ``body``, linear ``head`` (or none) and trailing positive scales ``tail``."""

    body: tuple[Layer, ...]
    head: Layer | None
    tail: tuple[float, ...]


def split(network: Network) -> Split:
    """Cut a network before its last dense layer, if only positive scales follow that layer.

    A scale whose factor, or whose product with others after the head, is small does not belong to
    the tail: then the network has no head, and every layer is judged by its own rule.
    """
    layers, end = network.layers, len(network.layers)
    tail: tuple[float, ...] = ()
    while end and (
        layers[end - 1].op == "identity"
        or (layers[end - 1].op == "scale" and layers[end - 1].numbers[0] >= SMALLEST_TAIL)
    ):
        end -= 1
        tail = layers[end].numbers + tail
    if end and layers[end - 1].op == "dense" and _products(tail)[0] >= SMALLEST_TAIL:
        return Split(layers[: end - 1], layers[end - 1], tail)
    return Split(layers, None, ())


def _products(factors: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest product of the first factors, at most and at least 1."""
    smallest = largest = product = 1.0
    for factor in factors:
        product *= factor
        smallest, largest = min(smallest, product), max(largest, product)
    return smallest, largest * (1 + 2.0**-40)


class Head(NamedTuple):
    """Norms of a head ``[C, n]``: ``pairs[y, j] >= ||w_y - w_j||``, ``rows[j] >= ||w_j||``.

    ``spread[j]`` is the ``B`` of row j's rounding errors (see :mod:`linear`).
    """

    linear: Linear | None
    pairs: Any
    rows: Any
    spread: Any
    tail: tuple[float, ...]

    @classmethod
    def of(cls, parts: Split, classes: int, norm: str, arithmetic: Arithmetic, m: Any) -> Head:
        """The head of a network that was split, with its norms rounded up."""
        dual = DUAL[norm]
        if parts.head is None:
            weight, linear = m.array(np.eye(classes)), None
            rows = spread = m.norm(weight, "linf")
        else:
            linear = Linear.of(parts.head, arithmetic, m)
            weight = linear.weight
            rows = m.norm(linear.absolute, dual)
            spread = linear.spread(rows, rows)
        pairs = m.stack([m.norm(weight - weight[row], dual) for row in range(classes)])
        return cls(linear, pairs, rows, spread, parts.tail)


class Gaps(NamedTuple):
    """Terms of the head rule for each point and class ``[N, C]``; ``own`` is the machine's part.

    Label ``y`` leads class ``j`` within ``r`` if ``logits_y - logits_j > lost + speed r``.
    ``labels [N]`` are those that were given, or the predictions.
    """

    logits: Any
    lost: Any
    speed: Any
    own: Any
    labels: Labels


def gaps(head: Head, state: State, labels: Labels | None) -> Gaps:
    """The head rule for ``labels [N]`` after the body left ``state``; adds to its magnitudes.

    Without labels the class of the largest logit is each point's own.
    """
    m, kind = state.m, state.arithmetic
    if head.linear is None:
        logits, count, flushed = state.values, 0, m.upper(0.0)
        sizes = m.uppers(abs(logits))
    else:
        logits = head.linear.apply(state.values)
        sizes = m.uppers(head.linear.magnitude(state.values, logits))
        count, flushed = head.linear.count, head.linear.flushed
    labels = leading(logits) if labels is None else labels
    own = m.lost(count, sizes, flushed, m.upper(0.0)) * m.guard
    smallest, largest = _products(head.tail)
    # Trailing scales round four times each; what they lose to underflow, in units of the logits.
    for factor in head.tail:
        flushed = flushed + m.upper(16 * (1 + factor)) * (1 / smallest)
    drift, travel = (state.own + state.d0)[:, None], state.lip + state.d1[:, None]
    base, slope = sizes + head.spread * drift, head.spread * travel
    error = m.gamma(count + 4 * len(head.tail), kind)
    row = np.arange(len(labels))
    pairs = head.pairs[labels]
    doubt = own + own[row, labels][:, None]
    lost = pairs * (state.own * m.guard + state.d0)[:, None] + doubt
    # Who takes subnormal logits for zeros finds two of them equal.
    lost = lost + m.upper(4 * kind.tiny) * (1 / smallest)
    speed = pairs * travel + m.upper(1e-300)
    if error is not None:
        other, rate = error * base + flushed * (2 * kind.tiny), error * slope
        lost = lost + other + other[row, labels][:, None]
        speed = speed + rate + rate[row, labels][:, None]
    state.magnitudes.append((m.most(base) * (2 * largest), m.most(slope) * (2 * largest)))
    return Gaps(logits, lost, speed, own, labels)


def leading(logits: Floats) -> Labels:
    """The first class of the largest logit, ``[N]``; NaN never leads."""
    found: Labels = np.where(np.isnan(logits), -np.inf, logits).argmax(axis=1)
    return found


class Radii(NamedTuple):
    """``predictions`` ``[N]`` (argmax of binary64 logits) and certified ``radii`` ``[N]``.

    ``possible`` ``[N, C]``: the classes that rounding leaves open as the argmax. ``logits``
    ``[N, C]`` are those of binary64, before trailing scales.
    """

    predictions: Labels
    radii: Floats
    possible: NDArray[np.bool_]
    logits: Floats


@np.errstate(all="ignore")
def certified_radii(
    network: Network,
    inputs: NDArray[np.floating],
    labels: Labels | None,
    norm: str,
    arithmetic: Arithmetic,
    route: Route,
    guard: float = 1.0,
) -> Radii:
    """Predictions and certified radii in ``norm`` of ``inputs [N, *input_shape]``, by ``route``.

    Without labels, the radius within which each point keeps its own prediction. ``guard >= 1``
    multiplies the error bound of binary64: an issuer takes more than 1, so that another machine's
    sums confirm its radii. A radius of 0.0 means: not certified. That is the answer for wrong
    predictions, ties, NaN, infinities and whatever might overflow.
    """
    m, parts, classes = Binary64(guard), split(network), network.classes
    head = Head.of(parts, classes, route.norm, arithmetic, m)
    factor = conversion(m, norm, route.inputs, network.inputs).value
    finite = np.isfinite(inputs.reshape(len(inputs), network.inputs)).all(axis=1)
    known = np.where(finite.reshape(-1, *[1] * (inputs.ndim - 1)), inputs, 0)
    found = [Radii(np.zeros(0, np.int64), np.zeros(0), np.ones((0, classes), bool),
                   np.zeros((0, classes)))]  # fmt: skip
    for part, state in sweep(network, parts.body, route, known, arithmetic, m):
        own = None if labels is None else labels[part]
        made = _radii(head, state, own, finite[part])
        radii = made.radii if factor == 1 else np.maximum(down(made.radii / factor), 0.0)
        found.append(made._replace(radii=radii))
    return Radii(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _radii(head: Head, state: State, labels: Labels | None, finite: NDArray[np.bool_]) -> Radii:
    classes, good = len(head.rows.value), finite
    given = labels
    if labels is not None:
        allowed = (labels >= 0) & (labels < classes)
        good, given = allowed & finite, np.where(allowed, labels, 0)
    logits, lost, speed, own, chosen = gaps(head, state, given)
    row, predictions = np.arange(len(chosen)), leading(logits)
    doubt = ((head.rows * (state.own * state.m.guard)[:, None] + own) * 4.0).value
    leader = logits[row, predictions][:, None] - doubt.max(axis=1)[:, None]
    possible = ~(logits + doubt < leader)
    margins = down(down(logits[row, chosen][:, None] - logits) - lost.value)
    radii = down(down(margins / speed.value) * (1 - SLACK))
    radii[row, chosen] = LARGEST_RADIUS
    smallest = np.minimum(radii.min(axis=1), LARGEST_RADIUS)
    good = good & (predictions == chosen) & (smallest > 0) & (classes > 1)
    good &= state.fits(np.where(good, smallest, 0.0))
    return Radii(predictions, np.where(good, smallest, 0.0), possible, logits)
