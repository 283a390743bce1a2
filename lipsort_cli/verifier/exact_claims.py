"""The claims of a certificate, put before the exact machine.

A claim that the first try does not settle is tried again with far more bits. What then is certainly
false is INVALID; what is still undecided is UNSUPPORTED.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import Route, network_constant, prove_chain
from .data import Points
from .errors import Invalid, Unsupported
from .evaluation import chunks, propagate
from .exact import Exact, Grid, flint
from .graph import Network
from .radii import Head, gaps, split
from .rounding import ARITHMETICS, REAL, Arithmetic, conversion
from .tensors import parse_tensors

BITS = (96, 1024)
"""Kept of activations: at first, and where that does not decide."""
SHARE = 4
"""Integers take more memory than floats: so many times fewer points at a time."""


def check_exactly(
    certificate: dict[str, Any],
    network: Network,
    points: Points | None,
    routes: Sequence[Route],
    data: bytes,
) -> str:
    """Judge a certificate that binary64 has confirmed; returns a line for the report."""
    claim = certificate["claim"]
    with flint().ctx.workprec(256):
        m = Exact(BITS[0])
        for route in routes:
            prove_chain(network.layers, route.bounds, route.norm, m, route.inputs)
        constant = network_constant(network, routes, claim["norm"], m)
        if constant > m.upper(certificate["lipschitz"]["network"]):
            raise Invalid("lipschitz.network", "is below what the layer bounds give exactly")
        if points is None:
            _check_w1(claim, network, routes, data)
            return "Confirmed in exact arithmetic: layer bounds and the bound's value"
    stored = certificate["points"]
    radii, chosen = np.array(stored["radius"]), np.array(stored["route"])
    check_radii(
        network,
        points.inputs,
        points.labels,
        radii,
        claim["norm"],
        ARITHMETICS[claim["arithmetic"]],
        routes,
        chosen,
    )
    return f"Confirmed in exact arithmetic: layer bounds and {(radii > 0).sum()} radii"


def check_radii(
    network: Network,
    inputs: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    radii: NDArray[np.float64],
    norm: str,
    arithmetic: Arithmetic,
    routes: Sequence[Route],
    chosen: NDArray[np.int64],
) -> None:
    """Every radius above 0, by the route chosen. Raises Invalid or Unsupported at the first."""
    flat = inputs.reshape(len(inputs), network.inputs)
    for place, route in enumerate(routes):
        rows = np.flatnonzero((radii > 0) & (chosen == place))
        for bits in BITS:
            with flint().ctx.workprec(bits + 160):
                m = Exact(bits)
                factor = conversion(m, norm, route.inputs, network.inputs)
                judged = list(
                    _judge(network, m, route, arithmetic, factor, flat, labels, radii, rows)
                )
            verdicts = np.concatenate(judged) if judged else np.zeros(0, dtype=int)
            if (verdicts < 0).any():
                row = rows[verdicts < 0][0]
                raise Invalid(f"points.radius[{row}]", "is not proven in exact arithmetic")
            rows = rows[verdicts == 0]
            if not len(rows):
                break
        if len(rows):
            reason = f"exact arithmetic of {BITS[-1]} bits cannot decide whether it is proven"
            raise Unsupported(f"points.radius[{rows[0]}]", reason)


def _judge(
    network: Network,
    m: Exact,
    route: Route,
    arithmetic: Arithmetic,
    factor: Any,
    flat: NDArray[Any],
    labels: NDArray[np.int64],
    radii: NDArray[np.float64],
    rows: NDArray[np.int64],
) -> Iterator[NDArray[Any]]:
    """For some ``rows`` at a time: 1 proven, -1 certainly not proven, 0 undecided."""
    parts = split(network)
    head = Head.of(parts, network.classes, route.norm, arithmetic, m)
    bounds = route.bounds[: len(parts.body)]
    for some in chunks(network.layers, len(rows), SHARE):
        part = rows[some]
        radius = np.array([m.upper(float(value)) * factor for value in radii[part]], dtype=object)
        state = propagate(parts.body, bounds, flat[part], route.norm, arithmetic, m, route.inputs)
        found = gaps(head, state, labels[part])
        row, own = np.arange(len(part)), labels[part]
        lead = m.numbers(_lead(found.logits, row, own))
        rest = lead - found.lost - found.speed * radius[:, None]
        holds = np.asarray(rest > 0, dtype=bool)
        holds[row, own] = True
        # What this machine itself cut off, with room: without it the claim would still be false.
        pairs = head.pairs[own] * state.own[:, None]
        cut = (found.own + found.own[row, own][:, None] + pairs) * 16
        false = np.asarray(rest + cut < 0, dtype=bool)
        false[row, own] = False
        fits = state.fits(radius)
        yield np.where(false.any(axis=1) | ~fits, -1, np.where(holds.all(axis=1), 1, 0))


def _lead(logits: Grid, row: NDArray[Any], labels: NDArray[np.int64]) -> Grid:
    return logits[row, labels][:, None] - logits


def _check_w1(
    claim: dict[str, Any], network: Network, routes: Sequence[Route], data: bytes
) -> None:
    tensors, _ = parse_tensors(data, "data")
    undecided = False
    for bits in BITS:
        m = Exact(bits)
        value = m.upper(claim["value"])
        for route in routes:
            means, lost = [], m.upper(0)
            for side in "xy":
                samples = tensors[side].reshape(len(tensors[side]), network.inputs)
                mean, own = _mean(network, m, route, samples, tensors.get(f"{side}_weights"))
                means.append(mean)
                lost = lost + own
            gap = m.upper(abs(means[0] - means[1]))
            wanted = value * route.constant(network, claim["norm"], m)
            if claim["value"] == 0 or wanted <= gap - lost:
                return
            undecided = not wanted > gap + lost
        if not undecided:
            raise Invalid("claim.value", "is not proven in exact arithmetic")
    reason = f"exact arithmetic of {BITS[-1]} bits cannot decide whether it is proven"
    raise Unsupported("claim.value", reason)


def _mean(
    network: Network,
    m: Exact,
    route: Route,
    samples: NDArray[Any],
    weights: NDArray[np.float64] | None,
) -> tuple[Fraction, Any]:
    """The weighted mean of the critic as evaluated, and what the machine may have cut off."""
    total, mass, worst = Fraction(0), Fraction(0), m.upper(0)
    shares = np.ones(len(samples)) if weights is None else weights
    for part in chunks(network.layers, len(samples), SHARE):
        state = propagate(
            network.layers, route.bounds, samples[part], route.norm, REAL, m, route.inputs
        )
        products = state.values[:, 0] * Grid.of(shares[part])
        total += Fraction(int(products.values.sum()), 1 << products.shift)
        sums = Grid.of(shares[part])
        mass += Fraction(int(sums.values.sum()), 1 << sums.shift)
        worst = worst.max(m.most(state.own[None, :])[0])
    return total / mass, worst
