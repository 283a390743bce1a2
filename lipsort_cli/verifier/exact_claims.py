"""The claims of a certificate, put before the exact machine.

A claim that the first try does not settle is tried again with far more bits. What then is certainly
false is INVALID; what is still undecided is UNSUPPORTED.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import Route, network_constant, prove_chain
from .effort import Budget, points_work
from .errors import Invalid, Unsupported, require
from .exact import Exact, flint
from .graph import Network
from .radii import Labels, Verdicts, judge
from .rounding import ARITHMETICS, Arithmetic, Floats
from .tensors import Points, parse_tensors
from .w1 import judge_value

BITS = (96, 1024)
"""Kept of activations: at first, and where that does not decide."""
LONGER = 8
"""So many times longer the second try takes."""


def check_exactly(
    certificate: dict[str, Any],
    network: Network,
    points: Points | None,
    routes: Sequence[Route],
    data: bytes,
    budget: Budget,
) -> str:
    """Judge a certificate that binary64 has confirmed; returns a line for the report."""
    claim, norm = certificate["claim"], certificate["claim"]["norm"]
    with flint().ctx.workprec(256):
        m = Exact(BITS[0])
        for place, route in enumerate(routes):
            where = f"routes[{place}].layers"
            prove_chain(network.layers, route.bounds, route.norm, m, route.inputs, where)
        stated = m.upper(certificate["lipschitz"]["network"])
        refuted = network_constant(network, routes, norm, m) > stated
        require(not refuted, "lipschitz.network", "is below what the layer bounds give exactly")
    if points is None:
        tensors, _ = parse_tensors(data, "data")
        count = sum(len(tensors[side]) for side in "xy") * len(routes)

        def judged(m: Exact, _: Any) -> Verdicts:
            return np.array([judge_value(network, m, tensors, routes, norm, claim["value"])])

        _settle(judged, np.zeros(1, np.int64), "claim.value", budget, network, count)
        return "Confirmed in exact arithmetic: layer bounds and the bound's value"
    stored = certificate["points"]
    radii, chosen = np.array(stored["radius"]), np.array(stored["route"])
    arithmetic = ARITHMETICS[claim["arithmetic"]]
    check_radii(network, *points, radii, norm, arithmetic, routes, chosen, budget)
    return f"Confirmed in exact arithmetic: layer bounds and {(radii > 0).sum()} radii"


def _settle(
    judged: Callable[[Exact, Labels], Verdicts],
    rows: Labels,
    name: str,
    budget: Budget | None,
    network: Network,
    count: int,
) -> None:
    """Judge ``rows`` of ``count`` points each, with more bits those left open, as far as the budget
    goes. Raises Invalid or Unsupported.
    """
    for bits in BITS:
        if bits > BITS[0] and budget is not None:
            budget.spend(LONGER * points_work(network, count * len(rows), exact=True))
        with flint().ctx.workprec(bits + 160):
            verdicts = judged(Exact(bits), rows)
        for row in rows[verdicts < 0][:1]:
            raise Invalid(name.format(row), "is not proven in exact arithmetic")
        rows = rows[verdicts == 0]
        if not len(rows):
            return
    reason = f"exact arithmetic of {BITS[-1]} bits cannot decide whether it is proven"
    raise Unsupported(name.format(rows[0]), reason)


def check_radii(
    network: Network,
    inputs: NDArray[np.floating[Any]],
    labels: Labels,
    radii: Floats,
    norm: str,
    arithmetic: Arithmetic,
    routes: Sequence[Route],
    chosen: Labels,
    budget: Budget | None = None,
) -> None:
    """Every radius above 0, by the route chosen. Raises Invalid or Unsupported at the first."""
    for place, route in enumerate(routes):

        def judged(m: Exact, rows: Labels, route: Route = route) -> Verdicts:
            given = inputs[rows], labels[rows], radii[rows], norm, arithmetic
            return judge(network, *given, route, m)[0]

        rows = np.flatnonzero((radii > 0) & (chosen == place))
        _settle(judged, rows, "points.radius[{}]", budget, network, 1)
