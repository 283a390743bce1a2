"""Proven lower bounds of the Wasserstein-1 distance between two weighted samples: T5.

For any ``f`` with constant ``L`` in the ground norm (Kantorovich-Rubinstein, the easy direction),

    W1(mu, nu) >= |sum w_i f(x_i) / sum w - sum v_j f(y_j) / sum v| / L.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bounds import Route, sweep
from .classification import NORM_NAMES, at_least, check_routes, check_words
from .errors import require
from .graph import Network
from .rounding import REAL, Binary64
from .tensors import digest_array, parse_tensors

Tensors = dict[str, np.ndarray]
"""Samples ``x [n, *input_shape]``, ``y [m, *input_shape]``; ``x_weights [n]`` and ``y_weights [m]``
where they are not uniform."""


def gap(network: Network, m: Any, tensors: Tensors, route: Route) -> tuple[Fraction, Any]:
    """The difference of the two means of the critic as ``m`` evaluates it, exactly; and a bound of
    what the evaluation may be off by.
    """
    from .exact import Grid

    means, lost = [], m.upper(0.0)
    for side in "xy":
        samples, worst, total = tensors[side], m.upper(0.0), Fraction(0)
        shares = tensors.get(f"{side}_weights", np.ones(len(samples)))
        for part, state in sweep(network, network.layers, route, samples, REAL, m):
            worst = worst.max(m.norm(state.own, "linf"))
            fits = state.fits(state.own * 0.0).all() and worst < m.upper(math.inf)
            if not (fits and (m.exactly or np.isfinite(state.values).all())):
                return Fraction(0), m.upper(math.inf)
            values = state.values if m.exactly else Grid.of(state.values)
            total += (values[:, 0] * Grid.of(shares[part])).sum().fraction()
        means.append(total / Grid.of(shares).sum().fraction())
        lost = lost + worst
    return abs(means[0] - means[1]), lost


class Claim(NamedTuple):
    """The samples ``tensors`` are ``value`` apart in ``norm`` at least, by a route."""

    tensors: Tensors
    routes: Sequence[Route]
    norm: str
    value: float

    def judge(self, network: Network, rows: Any, m: Any) -> tuple[NDArray[np.int64], Any]:
        """Of the one claim: 1 if some route proves it on ``m``, -1 if certainly none does, or 0."""
        verdict = 1 if self.value == 0 else -1
        for route in self.routes:
            found, lost = gap(network, m, self.tensors, route)
            constant, proven = route.constant(network, self.norm, m), m.upper(found)
            wanted = m.upper(self.value) * constant
            # A constant critic says nothing, although 0 <= 0.
            if m.upper(0.0) < constant and m.holds(wanted + lost, found):
                return np.ones(1, np.int64), None
            verdict = max(verdict, 0 if not wanted > proven + lost else -1)
        return np.array([verdict]), None


def check_measure(samples: np.ndarray, weights: np.ndarray | None, where: str) -> None:
    """Finite samples; finite, non-negative weights with a positive sum of moderate size."""
    require(np.isfinite(samples).all(), where, "a sample holds NaN or infinity")
    if weights is None:
        return
    where = f"{where}.weights"
    fits = weights.shape == samples.shape[:1] and weights.dtype == np.float64
    require(fits, where, f"expected float64 [{len(samples)}]")
    sound = np.isfinite(weights).all() and (weights >= 0).all()
    require(sound, where, "expected finite, non-negative weights")
    moderate = weights.max() < 2.0**200 and 2.0**-200 < math.fsum(weights) < 2.0**200
    require(moderate, where, "expected a positive sum of moderate size")


def check_w1(certificate: dict[str, Any], network: Network, data: bytes) -> Claim:
    """Check every claim of a Wasserstein certificate against network and stored samples."""
    norm, value = certificate["claim"]["norm"], certificate["claim"]["value"]
    reason = f"a critic has one output, this network {network.classes}"
    require(network.classes == 1, "network", reason)
    tensors, _ = parse_tensors(data, "data")
    weighted = {f"{side}_weights" for side in "xy" if certificate[side]["weights_sha256"]}
    wanted = {"x", "y"} | weighted
    require(set(tensors) == wanted, "data", f"expected the tensors {', '.join(sorted(wanted))}")
    for side in "xy":
        stored, samples = certificate[side], tensors[side]
        weights = tensors.get(f"{side}_weights")
        real = samples.dtype in (np.float32, np.float64)
        require(real, f"data.{side}", f"samples of type {samples.dtype}")
        fits = samples.shape[1:] == network.input_shape and len(samples) == stored["count"]
        require(fits, f"{side}.count", f"found samples of shape {list(samples.shape)}")
        for name, array in (("samples", samples), ("weights", weights)):
            same = array is None or digest_array(array) == stored[f"{name}_sha256"]
            require(same, f"{side}.{name}_sha256", f"not the {name} of the certificate")
        check_measure(samples, weights, f"data.{side}")
    claim = Claim(tensors, check_routes(certificate, network), norm, value)
    proven = claim.judge(network, None, Binary64())[0] == 1
    require(proven, "claim.value", f"claims {value!r}, which is not proven")
    counts = (certificate[side]["count"] for side in "xy")
    check_words(certificate, network, w1_statement(norm, value, *counts))
    return claim


def w1_statement(norm: str, value: float, x_count: int, y_count: int) -> str:
    """The claim of a Wasserstein certificate."""
    return (
        f"Proven: the Wasserstein-1 distance between the two stored samples "
        f"({x_count} and {y_count} points), as weighted empirical measures with ground metric "
        f"{NORM_NAMES[norm]} in raw input units, is at least {at_least(value)}. "
        f"Not claimed: anything about the distributions that the samples were drawn from, "
        f"or how close the bound is."
    )
