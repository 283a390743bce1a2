"""The claims of a certificate, put before the exact machine.

A claim that the first try does not settle is tried again with far more bits. What then is certainly
false is INVALID; what is still undecided is UNSUPPORTED.
"""

from typing import Any

import numpy as np

from .bounds import network_constant, prove_chain
from .effort import Budget, points_work
from .errors import Invalid, Unsupported, require
from .exact import Exact, flint
from .graph import Network
from .radii import Claims
from .w1 import Claim

BITS = (96, 1024)
"""Kept of activations: at first, and where that does not decide."""
LONGER = 8
"""So many times longer the second try takes."""


def check_exactly(
    certificate: dict[str, Any], network: Network, claims: Claims | Claim, budget: Budget
) -> str:
    """Judge a certificate that binary64 has confirmed; returns a line for the report."""
    with flint().ctx.workprec(256):
        m = Exact(BITS[0])
        for place, route in enumerate(claims.routes):
            where = f"routes[{place}].layers"
            prove_chain(network.layers, route.bounds, route.norm, m, route.inputs, where)
        stated = m.upper(certificate["lipschitz"]["network"])
        refuted = network_constant(network, claims.routes, claims.norm, m) > stated
        require(not refuted, "lipschitz.network", "is below what the layer bounds give exactly")
    check_claims(network, claims, budget)
    radii = claims.radii if isinstance(claims, Claims) else np.zeros(0)
    what = f"{(radii > 0).sum()} radii" if len(radii) else "the bound's value"
    return f"Confirmed in exact arithmetic: layer bounds and {what}"


def check_claims(network: Network, claims: Claims | Claim, budget: Budget | None = None) -> None:
    """Every radius above 0, or the bound, as far as the budget goes. Raises Invalid or Unsupported
    at the first that is not proven.
    """
    if isinstance(claims, Claims):
        rows, count, name = np.flatnonzero(claims.radii > 0), 1, "points.radius[{}]"
    else:
        count = sum(len(claims.tensors[side]) for side in "xy") * len(claims.routes)
        rows, name = np.zeros(1, np.int64), "claim.value"
    for bits in BITS:
        if bits > BITS[0] and budget is not None:
            budget.spend(LONGER * points_work(network, count * len(rows), exact=True))
        with flint().ctx.workprec(bits + 160):
            verdicts = claims.judge(network, rows, Exact(bits))[0]
        for row in rows[verdicts < 0][:1]:
            raise Invalid(name.format(row), "is not proven in exact arithmetic")
        rows = rows[verdicts == 0]
        if not len(rows):
            return
    reason = f"exact arithmetic of {BITS[-1]} bits cannot decide whether it is proven"
    raise Unsupported(name.format(rows[0]), reason)
