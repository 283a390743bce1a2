"""The largest radii that the head rule proves: everything in it is affine in the radius, so each is
one division. The verifier puts them to the rule itself, and never looks for them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.bounds import Route, sweep
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.radii import LARGEST_RADIUS, Head, Labels, gaps, split
from lipsort_cli.verifier.rounding import Arithmetic, Binary64, Floats, conversion, down
from lipsort_cli.verifier.state import State

SLACK = 2.0**-40
"""Relative reduction of radii: strict inequality on the closed ball, and room for another BLAS."""


class Radii(NamedTuple):
    """``predictions`` ``[N]`` (argmax of binary64 logits) and certified ``radii`` ``[N]``.

    ``logits`` ``[N, C]`` are those of binary64, before trailing scales.
    """

    predictions: Labels
    radii: Floats
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
    found = [Radii(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, classes)))]
    for part, state in sweep(network, parts.body, route, known, arithmetic, m):
        own = None if labels is None else labels[part]
        made = _radii(head, state, own, finite[part])
        radii = made.radii if factor == 1 else np.maximum(down(made.radii / factor), 0.0)
        found.append(made._replace(radii=radii))
    return Radii(*(np.concatenate(column) for column in zip(*found, strict=True)))


def leading(logits: Floats) -> Labels:
    """The first class of the largest logit, ``[N]``; NaN never leads."""
    return np.where(np.isnan(logits), -np.inf, logits).argmax(axis=1)


def _radii(head: Head, state: State, labels: Labels | None, finite: NDArray[np.bool_]) -> Radii:
    classes = len(head.rows.value)
    logits = state.values if head.linear is None else head.linear.apply(state.values)
    predictions = leading(logits)
    labels = predictions if labels is None else labels
    allowed = (labels >= 0) & (labels < classes)
    chosen, row = np.where(allowed, labels, 0), np.arange(len(labels))
    _, lost, speed, _ = gaps(head, state, chosen)
    margins = down(down(logits[row, chosen][:, None] - logits) - lost.value)
    radii = down(down(margins / speed.value) * (1 - SLACK))
    radii[row, chosen] = LARGEST_RADIUS
    smallest = np.minimum(radii.min(axis=1), LARGEST_RADIUS)
    good = allowed & finite & (predictions == chosen) & (smallest > 0) & (classes > 1)
    good &= state.fits(np.where(good, smallest, 0.0))
    return Radii(predictions, np.where(good, smallest, 0.0), logits)
