"""The claims of a certificate, put before the exact judge."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lipsort_cli.verifier.bounds import LayerBound
from lipsort_cli.verifier.data import Points
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.exact import CHUNK, Judge
from lipsort_cli.verifier.exact_layers import prove_chain
from lipsort_cli.verifier.exact_radii import judge_radii
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.integers import FINE, SCALE
from lipsort_cli.verifier.rounding import ARITHMETICS, REAL
from lipsort_cli.verifier.tensors import parse_tensors, read_bytes


def check_exactly(
    certificate: dict[str, Any],
    network: Network,
    points: Points | None,
    bounds: list[LayerBound],
    folder: Path,
) -> str:
    """Judge a certificate whose files were checked already; returns a line for the report."""
    claim = certificate["claim"]
    whole = prove_chain(network.layers, bounds, claim["norm"])
    if whole > Fraction(certificate["lipschitz"]["network"]):
        raise Invalid("lipschitz.network", "is below the exact product of the layer bounds")
    if points is None:
        _check_w1(certificate, network, bounds, folder)
        return "Confirmed in exact integer arithmetic: layer bounds and the bound's value"
    radii = np.array(certificate["points"]["radius"])
    row = judge_radii(
        network,
        bounds,
        points.inputs,
        points.labels,
        radii,
        claim["norm"],
        ARITHMETICS[claim["arithmetic"]],
    )
    if row is not None:
        raise Invalid(f"points.radius[{row}]", "is not proven in exact arithmetic")
    count = int((radii > 0).sum())
    return f"Confirmed in exact integer arithmetic: layer bounds and {count} radii"


def _check_w1(
    certificate: dict[str, Any], network: Network, bounds: list[LayerBound], folder: Path
) -> None:
    tensors, _ = parse_tensors(
        read_bytes(folder / certificate["data"]["file"], "data.file"), "data"
    )
    claim = certificate["claim"]
    judge = Judge(network, bounds, claim["norm"], REAL)
    means, lost = [], Fraction(0)
    for side in "xy":
        samples = tensors[side].reshape(len(tensors[side]), network.inputs)
        weights = tensors.get(f"{side}_weights")
        total, mass, worst = 0, Fraction(0), 0
        exact_total = Fraction(0)
        for start in range(0, len(samples), CHUNK):
            walk = judge.walk(network.layers, samples[start : start + CHUNK])
            worst = max(worst, int(walk.err.max()))
            values = walk.values[:, 0]
            if weights is None:
                total += int(values.sum())
                mass += len(values)
            else:
                for value, weight in zip(values, weights[start : start + CHUNK], strict=True):
                    exact_total += int(value) * Fraction(float(weight))
                    mass += Fraction(float(weight))
        means.append((exact_total + total) / mass / (1 << FINE))
        lost += Fraction(worst, 1 << SCALE)
    gap = abs(means[0] - means[1]) - lost
    constant = Fraction(certificate["lipschitz"]["network"])
    if Fraction(claim["value"]) > 0 and Fraction(claim["value"]) * constant > gap:
        raise Invalid("claim.value", "is not proven in exact arithmetic")
