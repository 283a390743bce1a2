"""Proven lower bounds of the Wasserstein-1 distance between two weighted samples: T5.

For any ``f`` with constant ``L`` in the ground norm (Kantorovich-Rubinstein, the easy direction),

    W1(mu, nu) >= |sum w_i f(x_i) / sum w - sum v_j f(y_j) / sum v| / L.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from .bounds import Route
from .classification import check_routes, check_words
from .errors import Invalid
from .evaluation import sweep
from .exact import Grid
from .graph import Network
from .machine import Binary64
from .rounding import REAL
from .tensors import digest_array, parse_tensors
from .words import w1_statement

Tensors = dict[str, np.ndarray]
"""Samples ``x [n, *input_shape]``, ``y [m, *input_shape]``; ``x_weights [n]`` and ``y_weights [m]``
where they are not uniform."""


def gap(network: Network, m: Any, tensors: Tensors, route: Route) -> tuple[Fraction, Any]:
    """The difference of the two means of the critic as ``m`` evaluates it, exactly; and a bound of
    what the evaluation may be off by.
    """
    means, lost = [], m.upper(0.0)
    for side in "xy":
        samples, worst = tensors[side], m.upper(0.0)
        shares = tensors.get(f"{side}_weights", np.ones(len(samples)))
        total = Fraction(0)
        for part, state in sweep(network, network.layers, route, samples, REAL, m):
            worst = worst.max(m.most(state.own[None, :])[0])
            fits = state.fits(state.own * 0.0).all() and worst < m.upper(math.inf)
            if not (fits and (m.exactly or np.isfinite(state.values).all())):
                return Fraction(0), m.upper(math.inf)
            values = state.values if m.exactly else Grid.of(state.values)
            total += (values[:, 0] * Grid.of(shares[part])).total()
        means.append(total / Grid.of(shares).total())
        lost = lost + worst
    return abs(means[0] - means[1]), lost


def judge_value(
    network: Network, m: Any, tensors: Tensors, routes: Sequence[Route], norm: str, value: float
) -> int:
    """1 if some route proves ``value`` on the machine ``m``, -1 if certainly none does, or 0."""
    verdict = 1 if value == 0 else -1
    for route in routes:
        found, lost = gap(network, m, tensors, route)
        constant, proven = route.constant(network, norm, m), m.upper(found)
        wanted = m.upper(value) * constant
        # A constant critic says nothing, although 0 <= 0.
        if m.upper(0.0) < constant and m.holds(wanted + lost, found):
            return 1
        verdict = max(verdict, 0 if not wanted > proven + lost else -1)
    return verdict


def check_measure(samples: np.ndarray, weights: np.ndarray | None, where: str) -> None:
    """Finite samples; finite, non-negative weights with a positive sum of moderate size."""
    if not np.isfinite(samples).all():
        raise Invalid(where, "a sample holds NaN or infinity")
    if weights is None:
        return
    if weights.shape != samples.shape[:1] or weights.dtype != np.float64:
        raise Invalid(f"{where}.weights", f"expected float64 [{len(samples)}]")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise Invalid(f"{where}.weights", "expected finite, non-negative weights")
    if not weights.max() < 2.0**200 or not 2.0**-200 < math.fsum(weights) < 2.0**200:
        raise Invalid(f"{where}.weights", "expected a positive sum of moderate size")


def check_w1(certificate: dict[str, Any], network: Network, data: bytes) -> list[Route]:
    """Check every claim of a Wasserstein certificate against network and stored samples."""
    claim = certificate["claim"]
    norm, value = claim["norm"], claim["value"]
    if network.classes != 1:
        raise Invalid("network", f"a critic has one output, this network {network.classes}")
    tensors, _ = parse_tensors(data, "data")
    wanted = {"x", "y"}
    wanted |= {f"{side}_weights" for side in "xy" if certificate[side]["weights_sha256"]}
    if set(tensors) != wanted:
        raise Invalid("data", f"expected the tensors {', '.join(sorted(wanted))}")
    for side in "xy":
        stored, samples = certificate[side], tensors[side]
        weights = tensors.get(f"{side}_weights")
        if samples.dtype not in (np.float32, np.float64):
            raise Invalid(f"data.{side}", f"samples of type {samples.dtype}")
        if samples.shape[1:] != network.input_shape or len(samples) != stored["count"]:
            raise Invalid(f"{side}.count", f"found samples of shape {list(samples.shape)}")
        for name, array in (("samples", samples), ("weights", weights)):
            if array is not None and digest_array(array) != stored[f"{name}_sha256"]:
                raise Invalid(f"{side}.{name}_sha256", f"not the {name} of the certificate")
        check_measure(samples, weights, f"data.{side}")
    routes = check_routes(certificate, network)
    if judge_value(network, Binary64(), tensors, routes, norm, value) != 1:
        raise Invalid("claim.value", f"claims {value!r}, which is not proven")
    counts = (certificate[side]["count"] for side in "xy")
    check_words(certificate, network, w1_statement(norm, value, *counts))
    return routes
