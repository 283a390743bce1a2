"""The head rule: from margins, constants and evaluation errors to certified radii.

With body constant ``lip``, head rows ``w_j`` and label ``y``, an input within ``r`` of ``x`` keeps
logit ``y`` above logit ``j``, in the arithmetic claimed, if

    f_y(x) - f_j(x) > (lip * ||w_y - w_j||_dual) r + errors of this machine + of the arithmetic.

A network that does not end in a dense layer gets unit vectors as head rows:
``||e_y - e_j||_2 = sqrt(2)``.
"""

from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .bounds import Route, sweep
from .graph import Network
from .linear import Linear
from .operation import Layer
from .rounding import DUAL, Arithmetic, Floats, conversion
from .state import State

Labels = NDArray[np.int64]
# 1 proven, -1 certainly not proven, 0 undecided; and the classes that may be the prediction.
Judged = tuple[NDArray[np.int64], NDArray[np.bool_]]
LARGEST_RADIUS = 2.0**60  # of those that are judged
SMALLEST_TAIL = 2.0**-60  # of scales after the head: with smaller ones, logits might vanish
TIE = 2.0**-30  # share of the largest logit that logits of one prediction may lie apart


class Split(NamedTuple):
    """A network as ``body``, linear ``head`` (or none) and trailing positive scales ``tail``."""

    body: tuple[Layer, ...]
    head: Layer | None
    tail: tuple[float, ...]


def split(network: Network) -> Split:
    """Cut a network before its last dense layer, if only positive scales follow that layer.

    With a scale whose factor, or whose product with others after the head, is small, it has none.
    """
    layers, end = network.layers, len(network.layers)
    while end and layers[end - 1].op in ("identity", "scale"):
        if min(layers[end - 1].numbers, default=1.0) < SMALLEST_TAIL:
            break
        end -= 1
    tail = tuple(number for layer in layers[end:] for number in layer.numbers)
    if end and layers[end - 1].op == "dense" and _products(tail)[0] >= SMALLEST_TAIL:
        return Split(layers[: end - 1], layers[end - 1], tail)
    return Split(layers, None, ())


def _products(factors: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest product of the first factors, at most and at least 1."""
    products = [1.0, *accumulate(factors, mul)]
    return min(products), max(products) * (1 + 2.0**-40)


class Head(NamedTuple):
    """Norms of a head with rows ``w [C, n]``."""

    linear: Linear | None
    pairs: Any  # pairs[y, j] >= ||w_y - w_j||
    rows: Any  # rows[j] >= ||w_j||
    spread: Any  # the B of row j's rounding errors (see :mod:`linear`)
    tail: tuple[float, ...]

    @classmethod
    def of(cls, parts: Split, classes: int, norm: str, arithmetic: Arithmetic, m: Any) -> Self:
        """The head of a network that was split, with its norms rounded up."""
        dual, linear = DUAL[norm], Linear.of(parts.head, arithmetic, m) if parts.head else None
        weight = linear.weight if linear else m.array(np.eye(classes))
        rows = m.norm(linear.absolute if linear else weight, dual)
        spread = linear.spread(rows, rows) if linear else rows
        pairs = m.stack([m.norm(weight - weight[row], dual) for row in range(classes)])
        return cls(linear, pairs, rows, spread, parts.tail)


def gaps(head: Head, state: State, labels: Labels) -> tuple[Any, Any, Any, Any]:
    """The head rule for ``labels [N]`` after the body left ``state``; adds to its magnitudes.

    Returns ``logits``, ``lost``, ``speed`` and this machine's part of ``lost``, ``[N, C]``: label
    ``y`` leads class ``j`` within ``r`` if ``logits_y - logits_j > lost + speed r``.
    """
    m, kind = state.m, state.arithmetic
    logits, count, flushed = state.values, 0, m.upper(0.0)
    if head.linear is not None:
        logits, count, flushed = head.linear.apply(logits), head.linear.count, head.linear.flushed
    terms = head.linear.magnitude(state.values, logits) if head.linear else abs(logits)
    sizes = m.uppers(terms)
    own = m.lost(count, sizes, flushed) * m.guard
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
    reached = (m.norm(sizes, "linf") * (2 * largest) for sizes in (base, slope))
    state.magnitudes.append(tuple(reached))
    return logits, lost, speed, own


class Claims(NamedTuple):
    """Each of ``inputs [N, *input_shape]`` keeps its label within its radius (``labels``, ``radii
    [N]``), by that of the ``routes`` which is ``chosen [N]``.
    """

    inputs: NDArray[np.floating[Any]]
    labels: Labels
    radii: Floats
    norm: str
    arithmetic: Arithmetic
    routes: Sequence[Route]
    chosen: Labels

    @np.errstate(all="ignore")
    def judge(self, network: Network, rows: Labels, m: Any) -> Judged:
        """Whether the claims in these ``rows`` are proven; and for each the classes ``[C]`` that
        binary64 leaves open as the prediction: those it cannot tell from the leading one.

        Nothing is proven of points with NaN, strange labels, or what might overflow.
        """
        parts, labels, classes = split(network), self.labels, network.classes
        sound = (labels >= 0) & (labels < classes) & (self.radii <= LARGEST_RADIUS) & (classes > 1)
        verdicts, possible = np.full(len(labels), -1), np.ones((len(labels), classes), dtype=bool)
        for place, route in enumerate(self.routes):
            head = Head.of(parts, classes, route.norm, self.arithmetic, m)
            factor = conversion(m, self.norm, route.inputs, network.inputs)
            own = rows[self.chosen[rows] == place]
            given = parts.body, route, self.inputs[own], self.arithmetic, m
            for part, state in sweep(network, *given):
                at = own[part]
                radius = m.uppers(m.array(self.radii[at])) * factor
                found = _judge(head, state, np.where(sound[at], labels[at], 0), radius)
                verdicts[at], possible[at] = found
        return np.where(sound, verdicts, -1)[rows], possible[rows]


def _judge(head: Head, state: State, own: Labels, radius: Any) -> Judged:
    m, row = state.m, np.arange(len(own))
    logits, lost, speed, off = gaps(head, state, own)
    lead = m.difference(logits[row, own][:, None], logits)
    needed = lost + speed * radius[:, None]
    holds = np.asarray(needed < lead, dtype=bool)
    # What this machine itself cut off, with room: without it the claim would still be false.
    pairs = off + off[row, own][:, None] + head.pairs[own] * state.own[:, None]
    false = np.asarray(lead + pairs * 16.0 < needed, dtype=bool)
    holds[row, own], false[row, own] = True, False
    possible = holds
    if not m.exactly:
        largest = np.fmax.reduce(logits, axis=1)[:, None]  # past NaN, which leads nothing
        # Bounds that a file claims may be so large that every class is in doubt: no tie.
        near = np.where(np.isfinite(largest), abs(largest) * TIE, 0.0)
        doubt = np.fmin(((head.rows * state.own[:, None] + off) * 4.0).value, near)
        possible = logits + doubt >= np.fmax.reduce(logits - doubt, axis=1)[:, None]
    return np.where(false.any(axis=1) | ~state.fits(radius), -1, holds.all(axis=1)), possible
