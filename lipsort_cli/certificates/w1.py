"""Issuing certificates of lower bounds of Wasserstein-1 between two weighted samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipsort_cli.certificates.files import (
    Files,
    network_entry,
    require_storable,
    route_entries,
    store_certificate,
    store_network,
    store_tensors,
)
from lipsort_cli.certificates.points import GUARD, best_route, check_inputs, load_network
from lipsort_cli.certificates.reach import SLACK
from lipsort_cli.errors import UsageError
from lipsort_cli.verifier.bounds import Route, network_constant
from lipsort_cli.verifier.classification import assumptions
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.format import FORMAT, VERSION
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.rounding import Binary64, down
from lipsort_cli.verifier.tensors import digest_array
from lipsort_cli.verifier.w1 import check_measure, gap, w1_statement


class W1Certificate(NamedTuple):
    """Proven: W1 of the two weighted samples is at least ``value``. ``path``: the file."""

    value: float
    path: Path
    lipschitz: float


def issue_w1_certificate(
    directory: Path,
    network_path: Path,
    x: ArrayLike,
    y: ArrayLike,
    *,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
    norm: str = "l2",
    source: str = "",
) -> W1Certificate:
    """Issue ``certificate.json`` in ``directory`` for a critic and two samples, all stored there.

    ``x [n, *input_shape]``, ``y [m, *input_shape]`` float32 or float64 (stored as given, exact);
    weights ``[n]``, ``[m]`` non-negative, divided by their sum; None: uniform. ``norm``: ground
    metric, ``l2``, ``linf`` or ``l1``. The critic at ``network_path`` has a single output. Raises
    UsageError for samples or weights that make no measures. Evidence: proven.
    """
    directory, network_path = Path(directory), Path(network_path)
    network = load_network(network_path)
    if network.classes != 1:
        raise UsageError(f"a critic has one output, {network_path} has {network.classes}")
    tensors = _tensors(network, {"x": (x, x_weights), "y": (y, y_weights)})
    require_storable(max(len(tensors["x"]), len(tensors["y"])), tensors.values())
    files: Files = {}
    stored = store_network(files, directory, network_path)
    routes = [best_route(network, norm)]
    value = w1_lower_bound(network, tensors, norm, routes, GUARD)
    value = max(0.0, float(down(value * (1 - SLACK))))
    lipschitz = float(network_constant(network, routes, norm, Binary64()).value)
    path = store_certificate(
        files,
        directory,
        {
            "format": FORMAT,
            "version": VERSION,
            "kind": "w1_lower_bound",
            "claim": {
                "property": "lower bound of Wasserstein-1",
                "norm": norm,
                "units": "raw input",
                "measures": "the two weighted samples stored, weights divided by their sum",
                "arithmetic": "real",
                "value": value.hex(),
            },
            "statement": w1_statement(norm, value, len(tensors["x"]), len(tensors["y"])),
            "assumptions": assumptions(network, "real"),
            "network": network_entry(network, stored),
            "routes": route_entries(network, routes, body=False),
            "lipschitz": {"network": lipschitz.hex()},
            "data": {**store_tensors(files, tensors), "source": source},
            "x": _measure(tensors, "x"),
            "y": _measure(tensors, "y"),
        },
    )
    return W1Certificate(value, path, lipschitz)


@np.errstate(all="ignore")
def w1_lower_bound(
    network: Network,
    tensors: dict[str, NDArray[Any]],
    norm: str,
    routes: Sequence[Route],
    guard: float = 1.0,
) -> float:
    """The largest bound that one of ``routes`` proves, rounded down; 0.0 where none does.

    ``tensors``: see :data:`lipsort_cli.verifier.w1.Tensors`. ``guard`` multiplies the bound of
    evaluation errors.
    """
    best, m = 0.0, Binary64()
    for route in routes:
        constant = float(route.constant(network, norm, m).value)
        found, lost = gap(network, m, tensors, route)
        rest = down(float(down(float(found))) - float((lost * guard).value))
        if rest > 0 and 0 < constant < math.inf:
            best = max(best, float(down(rest / constant)))
    return best


def _tensors(
    network: Network, sides: dict[str, tuple[ArrayLike, ArrayLike | None]]
) -> dict[str, NDArray[Any]]:
    """Points and, where they are given, weights of both sides, checked."""
    tensors: dict[str, NDArray[Any]] = {}
    for side, (points, given) in sides.items():
        tensors[side] = check_inputs(network, points)
        weights = None if given is None else np.asarray(given, dtype=np.float64)
        if len(tensors[side]) == 0:
            raise UsageError(f"{side}: a measure needs at least one point")
        try:
            check_measure(tensors[side], weights, side)
        except Invalid as error:
            raise UsageError(str(error)) from None
        if weights is not None:
            tensors[f"{side}_weights"] = weights
    return tensors


def _measure(tensors: dict[str, NDArray[Any]], side: str) -> dict[str, Any]:
    weights = tensors.get(f"{side}_weights")
    return {
        "count": len(tensors[side]),
        "samples_sha256": digest_array(tensors[side]),
        "weights_sha256": None if weights is None else digest_array(weights),
    }
