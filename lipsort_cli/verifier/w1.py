"""Proven lower bounds of the Wasserstein-1 distance between two weighted samples.

For any ``f`` with constant ``L`` in the ground norm (Kantorovich-Rubinstein, the easy direction),

    W1(mu, nu) >= |sum w_i f(x_i) / sum w - sum v_j f(y_j) / sum v| / L.

The sums are formed with ``math.fsum``; rounding of values, products and sums is subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import Route
from .classification import check_routes
from .errors import Invalid
from .fields import choice, digest, file_name, integer, number, optional, record, text
from .format import COMMON
from .format import routes as record_of_routes
from .graph import Network
from .machine import Binary64
from .radii import output_errors
from .rounding import NORMS, REAL, UNIT, add_up, down, mul_up
from .tensors import digest_array, parse_tensors
from .words import assumptions, w1_statement

_MEASURE = record(count=integer(1), samples_sha256=digest, weights_sha256=optional(digest))
W1 = record(
    **COMMON,
    claim=record(
        property=choice("lower bound of Wasserstein-1"),
        norm=choice(*NORMS),
        units=choice("raw input"),
        measures=choice("the two weighted samples stored, weights divided by their sum"),
        arithmetic=choice("real"),
        value=number(),
    ),
    routes=record_of_routes(network=number()),
    data=record(file=file_name, file_sha256=digest, source=text),
    x=_MEASURE,
    y=_MEASURE,
)

Samples = NDArray[np.floating[Any]]
Weights = NDArray[np.float64] | None


def w1_lower_bound(
    network: Network,
    x: Samples,
    y: Samples,
    x_weights: Weights,
    y_weights: Weights,
    norm: str,
    routes: Sequence[Route],
    guard: float = 1.0,
) -> float:
    """The bound, rounded down; 0.0 where nothing better is proven.

    ``x [n, *input_shape]``, ``y [m, *input_shape]``, weights ``[n]``, ``[m]`` or None (uniform).
    """
    best = 0.0
    for route in routes:
        constant = float(route.constant(network, norm, Binary64()).value)
        first, lost_first = _mean(network, x, x_weights, route)
        second, lost_second = _mean(network, y, y_weights, route)
        lost = float(mul_up(guard, add_up(lost_first, lost_second)))
        gap = float(down(down(abs(first - second)) - lost))
        if gap > 0 and 0 < constant < math.inf:
            best = max(best, float(down(gap / constant)))
    return best


def _mean(
    network: Network, samples: Samples, weights: Weights, route: Route
) -> tuple[float, float]:
    """Weighted mean of the critic and a bound of its error."""
    logits, errors = output_errors(network, samples, route.norm, REAL, route.bounds, route.inputs)
    values, worst = logits[:, 0], float(errors.max())
    if not (math.isfinite(worst) and np.isfinite(values).all()):
        return 0.0, math.inf
    mass = np.ones(len(values)) if weights is None else weights
    total = math.fsum(mass)
    with np.errstate(over="ignore"):
        terms = mass * values
    if not float(np.abs(terms).max()) < 2.0**960:
        return 0.0, math.inf
    mean = math.fsum(terms) / total
    size = math.fsum(np.abs(terms)) / total
    return mean, float(add_up(worst, mul_up(8 * UNIT, size), 2.0**-800))


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
    norm = claim["norm"]
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
        if digest_array(samples) != stored["samples_sha256"]:
            raise Invalid(f"{side}.samples_sha256", "not the samples of the certificate")
        if weights is not None and digest_array(weights) != stored["weights_sha256"]:
            raise Invalid(f"{side}.weights_sha256", "not the weights of the certificate")
        check_measure(samples, weights, f"data.{side}")
    routes = check_routes(certificate, network)
    derived = w1_lower_bound(
        network,
        tensors["x"],
        tensors["y"],
        tensors.get("x_weights"),
        tensors.get("y_weights"),
        norm,
        routes,
    )
    if not claim["value"] <= derived:
        raise Invalid("claim.value", f"claims {claim['value']!r}, proven is {derived!r}")
    words = w1_statement(norm, claim["value"], certificate["x"]["count"], certificate["y"]["count"])
    if certificate["statement"] != words:
        raise Invalid("statement", "does not say what the fields say")
    if certificate["assumptions"] != assumptions(network, "real"):
        raise Invalid("assumptions", "are not those of this claim")
    return routes
