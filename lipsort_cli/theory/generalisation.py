"""A margin bound of the test error, from what the certificate knows of the network.

Theorem 3.3 of Bartlett, Foster and Telgarsky (NeurIPS 2017), with every constant written out. For
networks x -> A_L f_{L-1}(... f_1(A_1 x)) whose f_i are r_i-Lipschitz with f_i(0) = 0, with spectral
norms ||A_i|| <= s_i, row norms sum_j ||row_j(A_i)||_2 <= b_i and no dimension above W, the outputs
on n inputs X (Frobenius norm ||X||) have covering numbers

    ln N(e) <= 2 ||X||^2 ln(2 W^2) / e^2 * (prod_i s_i r_i)^2 * (sum_i (b_i / s_i)^(2/3))^3.

Their theorem leaves the 2 out: it adds up u ln(2 W^2) over the layers, u = (b ||F|| / e)^2, where
their Lemma 3.2 has ceil(u) ln(2 W^2). For u <= 1 the one matrix 0 is a cover; else ceil(u) <= 2 u.
(What covers layer i need not have norm s_i, but may be moved to the nearest matrix of Frobenius
norm at most s_i ||F||, which all that it covers have: no distance grows.)

The margin f_y - max_{j != y} f_j moves by at most sqrt(2) times the output's L2 distance, and the
ramp from 1 (margin <= 0) to 0 (margin >= g) has slope 1/g. So the losses have ln N(e) <= R / e^2
with R = (2 / g^2) * the above, and Dudley's integral (their Lemma A.5) bounds their Rademacher
complexity by (12 sqrt(R) / n) (1 + ln(n / (3 sqrt(R)))) where 3 sqrt(R) <= n. Then, with
probability at least 1 - d over the draw of the training set,

    P[error] <= (share of training margins below g) + 2 Rademacher + 3 sqrt(ln(2 / d) / (2 n)).

The margin g and the norms were not known before training: they are rounded to a grid, the values
of which share d as 1 / (2 (|k| + 1) (|k| + 2)) for the k-th (these sum to less than 1).

Spectral norms are the certificate's proven bounds, margins are rounded down by the evaluation's
proven error: the statement holds with confidence 1 - d, whatever the training did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.certificates.points import evaluate, issued_bounds
from lipsort_cli.directed_text import confidence
from lipsort_cli.errors import UsageError
from lipsort_cli.layers.margins import worst_margin
from lipsort_cli.verifier.graph import Layer, Network

_GRID = {"margin": 4, "spectral": 64, "rows": 8}
"""Grid values an octave: fine where rounding costs most."""
_ZERO_KEPT = frozenset(
    {
        "flatten", "identity", "maxmin", "groupsort", "fullsort", "relu", "leaky_relu", "tanh",
        "absolute_value", "maxout", "scale", "average_pool", "max_pool", "l2_pool",
        "space_to_depth", "depth_to_space", "dropout",
    }
)  # fmt: skip
"""Operations without weights that map 0 to 0: the theorem's nonlinearities."""


@dataclass(frozen=True)
class MarginBound:
    """An upper bound of the probability of error, and what it is made of."""

    value: float
    """The bound; above 1 it says nothing."""
    margin: float
    """g, in units of logits: the one of the grid that gives the least bound."""
    empirical: float
    """Share of training examples whose margin is below g."""
    complexity: float
    """Twice the Rademacher complexity's bound."""
    sampling: float
    """The term of the confidence."""
    delta: float
    examples: int
    normalised: float | None
    """||X|| prod s_i r_i (sum (b_i/s_i)^(2/3))^(3/2) / (n * median margin): the part that a network
    can do something about, comparable between networks where the bound itself says nothing;
    None where the median margin is not positive."""

    @property
    def vacuous(self) -> bool:
        """Whether it is no better than "at most every example is wrong"."""
        return not self.value < 1

    def entry(self) -> dict[str, Any]:
        """As ``generalisation.json`` holds it."""
        found = {key: value for key, value in vars(self).items() if value is not None}
        return {**found, "vacuous": self.vacuous, "evidence": confidence(self.delta)}


def margin_bound(
    network: Network, inputs: NDArray[np.float32], labels: NDArray[np.int64], delta: float = 0.05
) -> MarginBound:
    """The bound for ``network`` trained on ``inputs`` [n, *shape] with ``labels`` [n].

    Raises:
        UsageError: the theorem does not cover an operation, or a layer has a bias.
    """
    size, rows, spectral, factor = _norms(network, inputs)
    found = evaluate(network, inputs, "real")
    margins = worst_margin(torch.from_numpy(found.logits), torch.from_numpy(labels)).numpy()
    margins = np.where(np.isnan(margins), -np.inf, margins) - 2 * found.error
    n = len(labels)
    logs = 0.0
    rounded_rows, rounded_spectral = [], []
    for row_sum, norm in zip(rows, spectral, strict=True):
        b, cost = _up(row_sum, _GRID["rows"])
        s, more = _up(norm, _GRID["spectral"])
        rounded_rows.append(b)
        rounded_spectral.append(s)
        logs += cost + more
    width = max(max(layer.inputs, layer.width) for layer in network.layers)
    product = factor * math.prod(rounded_spectral)
    ratio = sum((b / s) ** (2 / 3) for b, s in zip(rounded_rows, rounded_spectral, strict=True))
    spread = size * product * ratio**1.5
    bounds = []
    median = float(np.median(margins))
    normalised = spread / (n * median) if median > 0 else None
    top = max(float(margins.max()), 1e-6)
    for step in range(80):
        # From the largest margin downwards: a smaller g has fewer failures and more complexity.
        k = math.floor(_GRID["margin"] * math.log2(top)) - step
        margin = 2.0 ** (k / _GRID["margin"])
        root = math.sqrt(2 * 2 * math.log(2 * width**2)) * spread / margin
        complexity = 2 * _rademacher(root, n)
        allowed = logs + _cost(k)
        sampling = 3 * math.sqrt((math.log(2 / delta) + allowed) / (2 * n))
        empirical = float((margins < margin).mean())
        parts = margin, empirical, complexity, sampling
        bounds.append(MarginBound(sum(parts[1:]), *parts, delta, n, normalised))
    return min(bounds, key=lambda bound: bound.value)


def _rademacher(root: float, n: int) -> float:
    """Dudley's bound with ln N(e) <= root^2 / e^2; never more than 1, which losses are."""
    if 3 * root >= n:
        return 1.0
    return min(1.0, 12 * root / n * (1 + math.log(n / (3 * root))))


def _norms(
    network: Network, inputs: NDArray[np.float32]
) -> tuple[float, list[float], list[float], float]:
    """||X||, row sums b_i, spectral norms s_i, and the product of the nonlinearities' constants."""
    data = inputs.reshape(len(inputs), -1).astype(np.float64)
    rows: list[float] = []
    spectral: list[float] = []
    factor = 1.0
    for layer, bound in zip(network.layers, issued_bounds(network, "l2"), strict=True):
        if layer.op in ("dense", "convolution"):
            if layer.bias is not None and layer.bias.any():
                raise UsageError(
                    f"layer {layer.index} ({layer.op}): found a bias, which the theorem does not "
                    "cover; allowed: none, as `lipsort train model.bias=false` trains"
                )
            rows.append(_row_sum(layer))
            # A bound of 0 (an empty layer) has no ratio b / s; any larger s is a bound too.
            spectral.append(max(bound.value, 2.0**-60))
        elif layer.op in _ZERO_KEPT:
            factor *= bound.value
        else:
            raise UsageError(
                f"layer {layer.index}: found {layer.op}, which the theorem does not cover; "
                f"allowed: dense, convolution, {', '.join(sorted(_ZERO_KEPT))}"
            )
    # One part in 2^30 covers the rounding of these sums.
    return float(np.linalg.norm(data)) * (1 + 2.0**-30), rows, spectral, factor


def _row_sum(layer: Layer) -> float:
    """sum_j ||row_j||_2 of the layer's matrix: a kernel's rows once for every position."""
    assert layer.weight is not None
    weight = layer.weight.astype(np.float64).reshape(len(layer.weight), -1)
    positions = layer.width // len(layer.weight)
    return float(positions * np.linalg.norm(weight, axis=1).sum()) * (1 + 2.0**-30)


def _up(value: float, octave: int) -> tuple[float, float]:
    """The next grid value above ``value``, and ln(1 / its share of the confidence)."""
    k = math.ceil(octave * math.log2(max(value, 2.0**-60)) - 1e-12)
    grid = 2.0 ** (k / octave)
    while grid < value:  # rounding of the logarithm
        k += 1
        grid = 2.0 ** (k / octave)
    return grid, _cost(k)


def _cost(k: int) -> float:
    return math.log(2 * (abs(k) + 1) * (abs(k) + 2))
