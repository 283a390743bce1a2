"""How long judging a certificate would take, estimated before anything is done.

Nothing of a proof rests on this: it keeps small files from holding a verifier up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import Unsupported
from .evaluation import chunk_size
from .graph import Network
from .layer import Layer
from .operation import of

SMALL, PATIENCE, EACH = 10_000_000, 3.5, {False: 60.0, True: 600.0}
"""Files of up to ``SMALL`` bytes may take ``PATIENCE`` seconds of one core, larger ones ``EACH``
more for each further million bytes: without and with exact arithmetic."""
SPEEDS = {False: (1.2e-10, 1.5e-9), True: (4e-9, 6e-8)}
"""About the seconds for a multiply-add of a product of matrices, and for a number moved, compared
or added, in binary64 and exactly."""
CALL = 1e-4
"""Seconds for an operation on a chunk of points, however few."""


@dataclass
class Budget:
    """``seconds`` of one core that may still be spent."""

    seconds: float
    allowed: float

    @classmethod
    def of(cls, size: int, exact: bool, patience: float | None) -> Budget:
        """For ``size`` bytes of files, or so many seconds as the user has."""
        seconds = PATIENCE + EACH[exact] * max(0.0, (size - SMALL) / 1e6)
        seconds = seconds if patience is None else patience
        return cls(seconds, seconds)

    def spend(self, seconds: float) -> None:
        """Raises Unsupported where that is more than there is left."""
        self.seconds -= seconds
        if not self.seconds >= 0:
            wanted = self.allowed - self.seconds
            raise Unsupported(
                "certificate",
                f"asks for about {wanted:.3g} s of one core, estimated before any of it is done; "
                f"allowed for files of this size are {self.allowed:.3g} s, and more with "
                f"--patience {wanted * 1.5:.2g}",
            )


def claimed_work(certificate: dict[str, Any], network: Network, exact: bool) -> float:
    """Seconds for all proofs and points of a certificate, on one machine."""
    routes = certificate["routes"]
    seconds = sum(_proofs(route["layers"], network.layers, route["norm"], exact)
                  for route in routes)  # fmt: skip
    if certificate["kind"] == "classification":
        last, move = network.layers[-1], SPEEDS[exact][1]
        # Every pair of rows of a head, or of unit vectors, is compared.
        width = min(last.inputs, network.classes) if last.weight is None else last.inputs
        seconds += len(routes) * 4.0 * network.classes**2 * width * move
        # Exactly, only radii above 0 are judged.
        radii = certificate["points"]["radius"]
        count = sum(radius > 0 for radius in radii) if exact else len(radii)
        return seconds + points_work(network, count, exact)
    counts = certificate["x"]["count"] + certificate["y"]["count"]
    return seconds + len(routes) * points_work(network, counts, exact)


def points_work(network: Network, count: int, exact: bool) -> float:
    """Seconds for carrying ``count`` points through the network."""
    product, move = SPEEDS[exact]
    products = moves = calls = 0.0
    for layer in network.walk():
        more = of(layer).work(layer, exact)
        products, moves, calls = products + more[0], moves + more[1], calls + 1 + len(layer.parts)
    bulk = 4 if exact else 1
    chunks = -(-count // chunk_size(network, bulk)) if count else 0
    return count * (products * product + moves * move) + chunks * calls * CALL


def _proofs(
    claims: Sequence[dict[str, Any]], layers: Sequence[Layer], norm: str, exact: bool
) -> float:
    """Seconds for the proofs of a chain; claims that do not fit the layers cost nothing."""
    product, move = SPEEDS[exact]
    seconds = 0.0
    for claim, layer in zip(claims, layers, strict=False):
        products, moves = of(layer).proof_work(layer, norm, claim["method"])
        seconds += products * product + moves * move + CALL
        for inner, part in zip(claim["parts"], layer.parts, strict=False):
            seconds += _proofs(inner, part, norm, exact)
    return seconds
