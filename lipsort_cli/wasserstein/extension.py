"""The critic that extends the samples' own potential: exact on them, made from their transport.

For a coupling's optimal duals (u, v) of samples x and y, Kantorovich's conditions
``u_i + v_j <= ||x_i - y_j||`` say that ``f(x) = max_i (u_i - ||x - x_i||)`` is at least u on the
first sample and at most -v on the second. f is 1-Lipschitz by construction, so it proves all of
the samples' W1. Only the first sample's points are centres.

Where the training points are too many for one transport problem, some of them are the centres, and
their biases are trained by subgradients on batches of all, as any critic is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from lipsort_cli.config.wasserstein import EstimateWassersteinConfig
from lipsort_cli.console import console
from lipsort_cli.layers.extension import Extension
from lipsort_cli.wasserstein.critic import power_of_two
from lipsort_cli.wasserstein.sources import Measures, Source
from lipsort_cli.wasserstein.training import CENTRES, CriticTask, stream
from lipsort_cli.wasserstein.transport import Array, Transport, costs, exact_transport
from lipsort_cli.zoo import Network

EXACT = "exact transport"
"""Why training ended where the potential was computed instead."""


def build_extension(centres: ArrayLike, *, spread: float = 1.0) -> Network:
    """The smallest 1-Lipschitz function that is at least 0 at ``centres``, whose biases are free.

    Centres [n, d] are rounded to float32. ``spread``: size of typical values; only how fast an
    optimizer moves the biases depends on it.

    Example:
        >>> build_extension([[0.0], [4.0]])(torch.tensor([[1.0]])).item()
        -1.0
    """
    points = torch.as_tensor(np.asarray(centres, dtype=np.float32))
    layers = [nn.Flatten(), Extension(points, power_of_two(spread))]
    return Network(layers, [points.shape[1]], 1)


class ExtensionTask(CriticTask):
    """Fits an :class:`Extension`: from exact duals, then by steps where these are not all.

    Of ``model.centres`` points at most, of training alone: what is held out stays unseen. Exact
    transport of up to ``evaluation.transport_points`` a side fixes the biases. ``whole``: the
    centres are all training points of the first sample, and the transport problem with all of the
    second is small enough to be solved; then nothing is left to train.
    """

    solved: Transport | None = None

    def __init__(
        self, source: Source, device: torch.device, config: EstimateWassersteinConfig
    ) -> None:
        centres, seed = config.model.centres, config.seed
        torch.manual_seed(seed)
        # One more than wanted shows whether there are more.
        fitted = source.check(centres + 1, stream(seed, CENTRES))
        all_there = source.finite and max(len(fitted.x), len(fitted.y)) <= centres
        if not all_there:
            fitted = source.check(centres, stream(seed, CENTRES))
        self.fitted = fitted = _carrying(fitted)
        network = build_extension(np.asarray(fitted.x[:]), spread=source.spread).to(device)
        super().__init__(
            source, network, config, device, norm="l2", training=config.training, seed=seed
        )
        most = config.evaluation.transport_points
        self.solvable = max(len(fitted.x), len(fitted.y)) <= most
        self.whole = all_there and self.solvable
        if self.whole:
            self.check = fitted

    def begin(self) -> None:
        """Set the biases to the optimal duals where the centres' transport can be solved."""
        if not self.solvable:
            return
        x, y, x_weights, y_weights = self.fitted
        console.print(f"exact transport of {len(x):,} + {len(y):,} training points")
        self.solved = exact_transport(x, y, x_weights, y_weights)
        layer = self.network.head
        assert isinstance(layer, Extension)
        layer.set_bias_(torch.from_numpy(potential(self.solved.dual_x, costs(x, y, "l2"))))
        if self.whole:
            self.upper = self.value = self.solved.value
            self.stopped = EXACT

    def known(self, measures: Measures) -> Transport | None:
        """The transport of ``measures`` where it was solved for the fit."""
        if self.solved is None or not self.whole:
            return None
        pairs = zip(measures, self.fitted, strict=True)
        return self.solved if all(_same(a, b) for a, b in pairs) else None


def potential(dual: Array, cost: Array) -> Array:
    """Biases [n] from duals [n]: the double c-transform, about 0 so that float32 rounds little.

    With v_j = min_i c_ij - u_i, the values min_j c_ij - v_j are at least u_i, so no duals are
    better with this v; how far the solver's are from feasible does not matter.
    """
    v = (cost - dual[:, None]).min(0)
    values: Array = (cost - v).min(1)
    return values - (values.max() + values.min()) / 2


def _carrying(measures: Measures) -> Measures:
    """In memory, without the points that carry no weight: their duals are arbitrary."""
    rows, weights = [], []
    for points, mass in ((measures.x, measures.x_weights), (measures.y, measures.y_weights)):
        kept = slice(None) if mass is None else np.flatnonzero(mass)
        rows.append(np.asarray(points[kept]))
        weights.append(None if mass is None else mass[kept])
    return Measures(*rows, *weights)


def _same(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is second
    return bool(np.array_equal(np.asarray(first[:]), np.asarray(second[:])))
