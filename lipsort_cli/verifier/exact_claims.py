"""The claims of a certificate, put before the exact machine.

A claim that the first try does not settle is tried again with far more bits. What then is certainly
false is INVALID; what is still undecided is UNSUPPORTED.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import Route, network_constant, prove_chain
from .data import Points
from .effort import Budget, points_work
from .errors import Invalid, Unsupported
from .evaluation import sweep
from .exact import Exact, flint
from .graph import Network
from .radii import Head, gaps, split
from .rounding import ARITHMETICS, Arithmetic, conversion
from .tensors import parse_tensors
from .w1 import judge_value

BITS = (96, 1024)
"""Kept of activations: at first, and where that does not decide."""
LONGER = 8
"""So many times longer the second try takes."""
Verdicts = NDArray[np.int64]
"""1 proven, -1 certainly not proven, 0 undecided."""


def check_exactly(
    certificate: dict[str, Any],
    network: Network,
    points: Points | None,
    routes: Sequence[Route],
    data: bytes,
    budget: Budget,
) -> str:
    """Judge a certificate that binary64 has confirmed; returns a line for the report."""
    claim = certificate["claim"]
    with flint().ctx.workprec(256):
        m = Exact(BITS[0])
        for place, route in enumerate(routes):
            where = f"routes[{place}].layers"
            prove_chain(network.layers, route.bounds, route.norm, m, route.inputs, where)
        constant = network_constant(network, routes, claim["norm"], m)
        if constant > m.upper(certificate["lipschitz"]["network"]):
            raise Invalid("lipschitz.network", "is below what the layer bounds give exactly")
    if points is None:
        tensors, _ = parse_tensors(data, "data")
        value, norm = claim["value"], claim["norm"]

        def judge(m: Exact, _: Any) -> Verdicts:
            return np.array([judge_value(network, m, tensors, routes, norm, value)])

        count = sum(len(tensors[side]) for side in "xy") * len(routes)
        again = partial(_again, budget, network, count)
        _settle(judge, np.zeros(1, dtype=np.int64), lambda _: "claim.value", again)
        return "Confirmed in exact arithmetic: layer bounds and the bound's value"
    stored = certificate["points"]
    radii, chosen = np.array(stored["radius"]), np.array(stored["route"])
    arithmetic = ARITHMETICS[claim["arithmetic"]]
    check_radii(network, *points, radii, claim["norm"], arithmetic, routes, chosen, budget)
    return f"Confirmed in exact arithmetic: layer bounds and {(radii > 0).sum()} radii"


def _again(budget: Budget | None, network: Network, count: int, rows: int) -> None:
    """Count the work of judging ``rows`` with more bits, of ``count`` points each."""
    if budget is not None:
        budget.spend(LONGER * points_work(network, count * rows, exact=True))


def _settle(
    judge: Callable[[Exact, NDArray[np.int64]], Verdicts],
    rows: NDArray[np.int64],
    name: Callable[[int], str],
    again: Callable[[int], None],
) -> None:
    """Judge ``rows``, with more bits those left open. Raises Invalid or Unsupported."""
    for bits in BITS:
        if bits > BITS[0]:
            again(len(rows))
        with flint().ctx.workprec(bits + 160):
            verdicts = judge(Exact(bits), rows)
        if (verdicts < 0).any():
            raise Invalid(name(rows[verdicts < 0][0]), "is not proven in exact arithmetic")
        rows = rows[verdicts == 0]
        if not len(rows):
            return
    reason = f"exact arithmetic of {BITS[-1]} bits cannot decide whether it is proven"
    raise Unsupported(name(rows[0]), reason)


def check_radii(
    network: Network,
    inputs: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    radii: NDArray[np.float64],
    norm: str,
    arithmetic: Arithmetic,
    routes: Sequence[Route],
    chosen: NDArray[np.int64],
    budget: Budget | None = None,
) -> None:
    """Every radius above 0, by the route chosen. Raises Invalid or Unsupported at the first."""
    for place, route in enumerate(routes):

        def judge(m: Exact, rows: NDArray[np.int64], route: Route = route) -> Verdicts:
            claimed = (inputs[rows], labels[rows], radii[rows])
            return _judge(network, m, route, arithmetic, norm, *claimed)

        rows = np.flatnonzero((radii > 0) & (chosen == place))
        again = partial(_again, budget, network, 1)
        _settle(judge, rows, lambda row: f"points.radius[{row}]", again)


def _judge(
    network: Network,
    m: Exact,
    route: Route,
    arithmetic: Arithmetic,
    norm: str,
    inputs: NDArray[Any],
    labels: NDArray[np.int64],
    radii: NDArray[np.float64],
) -> Verdicts:
    parts, verdicts = split(network), np.zeros(len(inputs), dtype=np.int64)
    head = Head.of(parts, network.classes, route.norm, arithmetic, m)
    factor = conversion(m, norm, route.inputs, network.inputs)
    for part, state in sweep(network, parts.body, route, inputs, arithmetic, m):
        radius = np.array([m.upper(float(value)) * factor for value in radii[part]], dtype=object)
        own = labels[part]
        found, row = gaps(head, state, own), np.arange(len(own))
        lead = m.uppers(found.logits[row, own][:, None] - found.logits)
        rest = lead - found.lost - found.speed * radius[:, None]
        holds = np.asarray(rest > 0, dtype=bool)
        holds[row, own] = True
        # What this machine itself cut off, with room: without it the claim would still be false.
        pairs = head.pairs[own] * state.own[:, None]
        cut = (found.own + found.own[row, own][:, None] + pairs) * 16
        false = np.asarray(rest + cut < 0, dtype=bool)
        false[row, own] = False
        refuted = false.any(axis=1) | ~state.fits(radius)
        verdicts[part] = np.where(refuted, -1, holds.all(axis=1))
    return verdicts
