"""Average and L2 pooling, distance and extension in binary64, with bounds of their rounding.

Each function returns the values, ``s`` of the error recurrence ``[N, m]`` and a number of
roundings: in any arithmetic of unit ``u``, a component errs by at most ``gamma(roundings) s``. In
all four ``s`` has the Lipschitz constant of the value: it is the same formula with other signs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.rounding import UNIT, Arithmetic, Floats, gamma, inflate
from lipsort_cli.verifier.selections import taps

_BLOCK = 64
_PAIRS = 1 << 21


class Evaluated(NamedTuple):
    """``values`` and ``sizes`` ``[N, m]``, and ``roundings`` relative to ``sizes``."""

    values: Floats
    sizes: Floats
    roundings: int


def average_pool(layer: Layer, values: Floats) -> Evaluated:
    """Mean of each window: ``k^2 - 1`` additions, and a division or a rounded factor."""
    area = layer.size * layer.size
    total = _total(layer, values) / area
    sizes = _total(layer, np.abs(values)) / area
    count = area + 3
    flat = (len(values), layer.width)
    return Evaluated(total.reshape(flat), np.asarray(inflate(sizes.reshape(flat), count)), count)


def _total(layer: Layer, values: Floats) -> Floats:
    total = np.zeros((len(values), *layer.out_shape))
    for tap in taps(layer, values):
        total += tap
    return total


def l2_pool(layer: Layer, values: Floats) -> Evaluated:
    """Length of each window: squares, a sum without cancellation, a square root."""
    found = np.sqrt(_total(layer, values * values)).reshape(len(values), layer.width)
    count = layer.size * layer.size + 4
    return Evaluated(found, np.asarray(inflate(found, count)), count)


def order_weights(layer: Layer, arithmetic: Arithmetic) -> Floats:
    """``(1 - decay) decay^k`` for every rank, each rounded up; raised where they may be flushed."""
    decay = layer.numbers[0]
    if decay == 0.0:
        return np.ones(1)
    weights = np.empty(layer.inputs)
    share = np.nextafter(1 - decay, 2.0)
    for rank in range(layer.inputs):
        weights[rank] = share
        share = np.nextafter(share * decay, 2.0)
    error = gamma(_roundings(layer), arithmetic.unit)
    if error:
        weights[weights < 8 * arithmetic.tiny] *= 4 + 2 / error
    return weights


def _roundings(layer: Layer) -> int:
    """Of a weighted sum of ranks: two for each power of decay, one for each addition."""
    return 4 * layer.inputs + 16


def distance(layer: Layer, values: Floats, arithmetic: Arithmetic) -> Evaluated:
    """Weighted order statistics of ``|x - w|``; with decay 0, the largest.

    One subtraction each, then a maximum, or a sum of ``n`` non-negative terms whose weights are
    products of up to ``n`` factors; in both cases an addition of the bias.
    """
    assert layer.weight is not None
    weight = layer.weight.astype(np.float64)
    bias = np.zeros(layer.width) if layer.bias is None else layer.bias.astype(np.float64)
    largest = np.empty((len(values), layer.width))
    exact = order_weights(layer, Arithmetic("weights", 0.0, 0.0, np.inf))
    raised = order_weights(layer, arithmetic)
    bound = largest if len(exact) == 1 else np.empty_like(largest)
    kept = _ranks(exact)
    for start in range(0, len(values), _BLOCK):
        part = values[start : start + _BLOCK]
        space = np.empty_like(part)
        for output, row in enumerate(weight):
            np.subtract(part, row, out=space)
            np.abs(space, out=space)
            rows = slice(start, start + len(part))
            if len(exact) == 1:
                space.max(axis=1, out=largest[rows, output])
                continue
            top = _descending(space, kept)
            # The ranks left out add less than a rounding error of the first one.
            largest[rows, output] = top @ exact[:kept]
            bound[rows, output] = top @ raised[:kept] + top[:, -1] * raised[kept:].sum()
    count = 4 if len(exact) == 1 else _roundings(layer)
    sizes = inflate(bound + np.abs(bias), layer.inputs + 8)
    return Evaluated(largest + bias, np.asarray(sizes), count)


def _ranks(weights: Floats) -> int:
    """How many ranks matter: the others' weights add up to less than a rounding error."""
    tails = np.cumsum(weights[::-1])[::-1]
    kept = int((tails > 2.0**-54 * weights[0]).sum())
    return len(weights) if 2 * kept > len(weights) else max(1, kept)


def _descending(values: Floats, count: int) -> Floats:
    """The ``count`` largest entries of each row, largest first."""
    if count < values.shape[1]:
        values = np.partition(values, values.shape[1] - count, axis=1)[:, -count:]
    return np.sort(values, axis=1)[:, ::-1]


def extension(layer: Layer, values: Floats) -> Evaluated:
    """``max_j (b_j - ||x - w_j||)``: distances by one matrix product, the decisive ones again.

    The product's error bound says which centres may attain the maximum; only those are evaluated
    as written, without cancellation, so the value errs by its own roundings alone.
    """
    assert layer.weight is not None and layer.bias is not None
    weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    # About the centres' mean, or points far from the origin would lose every digit.
    middle = weight.mean(axis=0)
    x, w = values - middle, weight - middle
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    radii = np.sqrt(np.einsum("ij,ij->i", w, w))
    reach = lengths[:, None] + radii
    # Roundings of the shift, of three sums of n products and of their combination.
    lost = gamma(2 * layer.inputs + 32, UNIT) * reach * reach + 2.0**-900
    squares = lengths[:, None] ** 2 + radii**2 - 2 * (x @ w.T)
    least = bias - np.sqrt(np.maximum(squares + lost, 0)) * (1 + 8 * UNIT)
    most = bias - np.sqrt(np.maximum(squares - lost, 0)) * (1 - 8 * UNIT)
    slack = 8 * UNIT * (np.abs(bias).max() + np.abs(least).max(axis=1, keepdims=True))
    # Written so that NaN keeps every centre.
    chosen = ~(most + slack < least.max(axis=1, keepdims=True) - slack)
    points, centres = np.nonzero(chosen)
    best = np.full(len(values), -np.inf)
    size = np.zeros(len(values))
    step = max(1, _PAIRS // layer.inputs)
    for start in range(0, len(points), step):
        rows, columns = points[start : start + step], centres[start : start + step]
        apart = values[rows] - weight[columns]
        found = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        np.maximum.at(best, rows, bias[columns] - found)
        np.maximum.at(size, rows, np.abs(bias[columns]) + found)
    # Elsewhere any centre may come into play, so every one counts for the other arithmetic.
    farthest = np.sqrt(np.maximum(squares + lost, 0)).max(axis=1)
    size = np.maximum(size, np.abs(bias).max() + farthest)
    count = layer.inputs + 8
    return Evaluated(best[:, None], np.asarray(inflate(size, count))[:, None], count)
