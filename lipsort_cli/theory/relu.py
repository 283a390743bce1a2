"""Why ReLU networks under the constraint cannot bend, and how far they come all the same.

Take a network from R to R with ReLU and weights of spectral norm at most 1. At x its slope is
``W_L D_{L-1} W_{L-1} ... D_1 W_1`` with diagonal D_k of zeros and ones, the active units. If the
slope is 1 in size, no factor may shorten the vector it acts on; D_k shortens every vector that
it changes; so ``D_k v_k = v_k`` for ``v_1 = W_1`` and ``v_{k+1} = W_{k+1} v_k``, and the slope is
``W_L ... W_1``: the same wherever it is 1 in size. A network with slope -1 at one point and +1 at
another, as |x| has, does not exist, whatever its depth and width (Theorem 1 of Anil, Lucas and
Grosse, 2019, for one input).

The bend ``f(1) + f(-1) - 2 f(0)`` measures how close one comes: it is 2 for |x|. With one hidden
layer it is at most 1: slopes are ``a . D v`` with ``|a|, |v| <= 1``, two of them differ by
``a . (D - D') v``, and ``|(D - D') v| <= |v|``. The network ``(|x|) / 2`` of :func:`best_shallow`
attains 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lipsort_cli.config.learning import CosineSchedule, StiefelOptimizer
from lipsort_cli.layers import Dense, MaxMin
from lipsort_cli.optim import Rates, build_optimizer
from lipsort_cli.theory.exact import Activation, ExactNetwork, Matrix, Vector, affine, dot
from lipsort_cli.zoo import build_mlp
from lipsort_cli.zoo.network import Network

Integers = NDArray[np.int64]
TRIPLE = 5
"""Entries of the searched weights are multiples of 1/5: 3-4-5 is the smallest right triangle."""


def slope(weights: list[Matrix], patterns: list[list[bool]]) -> tuple[Fraction, list[Fraction]]:
    """Slope of a network R -> R where the units of ``patterns`` are active, exactly.

    ``weights``: W_1 [n, 1], ..., W_L [1, m]. Also the squared length of the vector after each
    layer's activation.
    """
    vector: Vector = [Fraction(1)]
    lengths = []
    for k, weight in enumerate(weights):
        vector = [dot(row, vector) for row in weight]
        if k < len(patterns):
            vector = [v if on else Fraction(0) for v, on in zip(vector, patterns[k], strict=True)]
            lengths.append(dot(vector, vector))
    return vector[0], lengths


def unit_vectors() -> Integers:
    """All vectors (a, b) / 5 of length 1 with whole a and b, as [12, 2] numerators."""
    side = range(-TRIPLE, TRIPLE + 1)
    pairs = [(a, b) for a in side for b in side if a * a + b * b == TRIPLE**2]
    return np.array(pairs, dtype=np.int64)


def orthogonal_matrices() -> Integers:
    """All orthogonal 2 x 2 matrices with entries k / 5, as [24, 2, 2] numerators."""
    rows = unit_vectors()
    found = [[u, v] for u, v in itertools.product(rows, rows) if int(u @ v) == 0]
    return np.array(found, dtype=np.int64)


def search() -> tuple[int, int, int]:
    """Every network 1-2-2-1 with orthonormal weights k / 5, at every activation pattern, exactly.

    Networks, slopes looked at, and counterexamples: networks that have both slopes +1 and -1.
    """
    patterns = np.array(list(itertools.product((0, 1), repeat=2)), dtype=np.int64)
    first, middle, last = unit_vectors(), orthogonal_matrices(), unit_vectors()
    # [W_1, D_1, 2] -> [W_1, D_1, W_2, 2] -> [W_1, D_1, W_2, D_2, 2] -> [..., W_3]
    hidden = first[:, None, :] * patterns
    mixed = np.einsum("adk,wjk->adwj", hidden, middle)[:, :, :, None, :] * patterns
    slopes = np.einsum("adwej,cj->awcde", mixed, last)
    one = TRIPLE**3
    both = (slopes == one).any((3, 4)) & (slopes == -one).any((3, 4))
    return int(both.size), int(slopes.size), int(both.sum())


def best_shallow() -> ExactNetwork:
    """One hidden layer of ReLU that bends by 1, the most it can: it is |x| / 2."""
    half = Fraction(1, 2)
    spread, gather = affine([[half], [half], [-half], [-half]]), affine([[half] * 4])
    return ExactNetwork((spread, Activation("relu"), gather), 1)


def bend(function: Callable[[list[Fraction]], Vector]) -> Fraction:
    """f(1) + f(-1) - 2 f(0): 2 for |x|, 0 for a line."""
    left, middle, right = (function([Fraction(x)])[0] for x in (-1, 0, 1))
    return left + right - 2 * middle


class Bent(NamedTuple):
    """What training found: the bend (empirical), and the network."""

    bend: float
    network: Network


def train_bend(
    depth: int,
    activation: str,
    *,
    width: int = 16,
    steps: int = 400,
    restarts: int = 3,
    seed: int = 0,
) -> Bent:
    """The largest bend that training finds with ``depth`` hidden layers; empirical.

    Orthonormal weights on the Stiefel manifold, biases by Adam, ``activation`` relu or maxmin;
    the bend itself is maximised, from ``restarts`` starts. Float32, accurate to about 1e-5.
    """
    make = {"relu": nn.ReLU, "maxmin": MaxMin}[activation]
    points = torch.tensor([[-1.0], [0.0], [1.0]])
    weights = torch.tensor([1.0, -2.0, 1.0])
    results = []
    for restart in range(restarts):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 1000 + restart)
            network = build_mlp([1], 1, [width] * depth, make)
            with torch.no_grad():
                for layer in network:
                    if isinstance(layer, Dense) and layer.bias is not None:
                        # Spread kinks over the interval: at 0 all of them would coincide.
                        layer.bias.uniform_(-0.5, 0.5)
        optimizer = build_optimizer(network, StiefelOptimizer(lr=0.1, rest_lr=0.01))
        rates = Rates(optimizer, CosineSchedule())
        for step in range(steps):
            rates.set((step + 0.5) / steps)
            loss = -(weights @ network(points)[:, 0])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            results.append(Bent(float(weights @ network(points)[:, 0]), network))
    return max(results, key=lambda result: result.bend)
