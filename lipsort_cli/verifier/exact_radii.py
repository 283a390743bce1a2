"""The head rule of :mod:`lipsort_cli.verifier.radii`, judged in exact integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lipsort_cli.verifier.bounds import LayerBound
from lipsort_cli.verifier.exact import CHUNK, ONE, Judge
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.integers import FINE, SCALE, fixed, norm, rescale, rescale_up, times
from lipsort_cli.verifier.radii import Split, split
from lipsort_cli.verifier.rounding import DUAL, Arithmetic


class Head:
    """Exact norms of head rows and their differences, rounded up to fixed point."""

    def __init__(self, parts: Split, classes: int, judge: Judge) -> None:
        """A missing head stands for unit vectors."""
        dual = DUAL[judge.kind]
        if parts.head is None:
            pair = norm(np.array([[ONE, -ONE]], dtype=object), dual)[0]
            self.pairs = np.full((classes, classes), pair, dtype=object)
            self.spread = np.full(classes, ONE, dtype=object)
            return
        operands = judge.operands[parts.head.index]
        rows = rescale_up(norm(operands.absolute, dual), operands.shift, SCALE)
        self.spread = operands.mix(rows, rows)
        wide = operands.exact << SCALE
        self.pairs = np.stack([norm(wide - row, dual) for row in wide])
        self.pairs = np.asarray(rescale_up(self.pairs, operands.shift, 0), dtype=object)


def judge_radii(
    network: Network,
    bounds: list[LayerBound],
    inputs: np.ndarray,
    labels: np.ndarray,
    radii: np.ndarray,
    kind: str,
    arithmetic: Arithmetic,
) -> int | None:
    """The first row whose claimed radius is not proven exactly; None when all are."""
    parts = split(network)
    judge = Judge(network, bounds, kind, arithmetic)
    head = Head(parts, network.classes, judge)
    rows = np.flatnonzero(radii > 0)
    flat = inputs.reshape(len(inputs), network.inputs)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        proven = _judge_chunk(parts, judge, head, flat[part], labels[part], radii[part])
        if not proven.all():
            return int(part[np.flatnonzero(~proven)[0]])
    return None


def _judge_chunk(
    parts: Split,
    judge: Judge,
    head: Head,
    inputs: np.ndarray,
    labels: np.ndarray,
    radii: np.ndarray,
) -> np.ndarray:
    radius = np.array([fixed(float(value)) for value in radii], dtype=object)
    walk = judge.walk(parts.body, inputs)
    count, flushed = 0, 0
    if parts.head is None:
        logits, sizes = walk.values, abs(walk.values)
    else:
        operands = judge.operands[parts.head.index]
        logits = operands.apply(walk.values)
        sizes = operands.magnitude(walk.values, logits)
        count, flushed = parts.head.inputs + 2, operands.flushed
    factor, largest = Fraction(1), Fraction(1)
    for layer in parts.tail:
        number = Fraction(layer.numbers[0])
        factor *= number
        largest = max(largest, factor)
        flushed += fixed(float(32 * (1 + number) / min(factor, Fraction(1))))
    error = judge.gamma(count + 4 * len(parts.tail))
    drift = (walk.err + walk.d0)[:, None]
    travel = (walk.lip + walk.d1 + np.zeros(len(inputs), dtype=object))[:, None]
    base = rescale_up(sizes, FINE, SCALE) + times(head.spread, drift)
    slope = times(head.spread, travel)
    other = times(error, base) + 2 * times(judge.tiny, flushed)
    rate = times(error, slope)
    row = np.arange(len(inputs))
    pairs = head.pairs[labels]
    unit = 1 << (SCALE - FINE)
    lost = times(pairs, drift) + 2 * unit + other + other[row, labels][:, None]
    speed = times(pairs, travel) + rate + rate[row, labels][:, None]
    gap = rescale(logits[row, labels][:, None] - logits, FINE, SCALE)
    holds = np.asarray(gap - lost - times(speed, radius[:, None]) > 0, dtype=bool)
    holds[row, labels] = True
    ceiling = -((-2 * largest.numerator << SCALE) // largest.denominator)
    walk.magnitudes.append((times(ceiling, base.max(axis=1)), times(ceiling, slope.max(axis=1))))
    return np.asarray(holds.all(axis=1) & judge.fits(walk, radius))
