"""Issuing classification certificates: every point's certified radius in one file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipsort_cli.certificates.claims import OWN
from lipsort_cli.certificates.files import (
    Files,
    encode_inputs,
    network_entry,
    route_entries,
    store_certificate,
    store_network,
    store_tensors,
)
from lipsort_cli.certificates.points import (
    CertifiedPoints,
    best_route,
    certify_points,
    check_inputs,
    check_labels,
    issued_routes,
    load_network,
    require_classifier,
)
from lipsort_cli.errors import UsageError
from lipsort_cli.verifier.bounds import Route
from lipsort_cli.verifier.classification import (
    assumptions,
    classification_statement,
    points_table,
)
from lipsort_cli.verifier.format import FORMAT, VERSION
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.tensors import digest_array, input_digests
from lipsort_cli.verifier.verify import TABLE


class IssuedCertificate(NamedTuple):
    """The file at ``path``, its claim in words and the points it covers."""

    path: Path
    statement: str
    points: CertifiedPoints


def issue_certificate(
    directory: Path,
    network_file: Path | bytes,
    inputs: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    norm: str = "l2",
    arithmetic: str = "binary32",
    eps: Iterable[float] = (),
    index: ArrayLike | None = None,
    source: str = "",
) -> IssuedCertificate:
    """Write ``certificate.json``, ``points.csv`` and the data covered into ``directory``.

    ``network_file``: the network's, or its content; nothing is written before all is proven.
    ``inputs`` float ``[N, *input_shape]`` in raw units, ``labels`` int ``[N]`` (None: the network's
    own predictions, as ``source`` then says), ``index [N]``: positions in the data set (default
    ``0..N-1``), ``eps``: radii whose counts are stated.
    """
    require_classifier(network := load_network(network_file))
    array = check_inputs(network, inputs)
    if not len(array) or not np.isfinite(array).all():
        found = "NaN or infinity" if len(array) else "no rows"
        raise UsageError(f"inputs: found {found}; allowed: at least one row, all of finite numbers")
    if labels is not None:
        labels = check_labels(labels, len(array), network.classes)
    encoding, encoded = encode_inputs(array)
    files: Files = {}
    stored = store_network(files, directory, network_file)
    points, routes, route = _certified(network, array, labels, norm, arithmetic)
    target = points.predictions if labels is None else labels
    counts = {
        "points": len(array),
        "correct": int((points.predictions == target).sum()),
        "certified": int((points.radii > 0).sum()),
    }
    statement = classification_statement(norm, arithmetic, *counts.values())
    certificate: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "kind": "classification",
        "claim": _claim(norm, arithmetic),
        "statement": statement,
        "assumptions": assumptions(network, arithmetic),
        "summary": {**counts, "certified_at": _certified_at(points, eps)},
        "network": network_entry(network, stored),
        "routes": route_entries(network, routes, body=True),
        "lipschitz": {"network": points.lipschitz.hex()},
        "data": {
            **store_tensors(files, {"inputs": encoded, "labels": target}),
            "encoding": encoding,
            "inputs_sha256": digest_array(array),
            "labels_sha256": digest_array(target),
            "source": source if labels is not None else f"{source}; labels are {OWN}".strip("; "),
        },
        "points": _points(points, route, array, target, index),
    }
    listed = certificate["points"] | {"radius": points.radii.tolist()}
    files[TABLE] = points_table(listed)
    return IssuedCertificate(store_certificate(files, directory, certificate), statement, points)


def _certified(
    network: Network,
    inputs: NDArray[np.floating[Any]],
    labels: ArrayLike | None,
    norm: str,
    arithmetic: str,
) -> tuple[CertifiedPoints, list[Route], NDArray[np.int64]]:
    """Radii by the best of all routes; the routes that prove any of them, or the network's
    constant; and each point's place among these.
    """
    routes = issued_routes(network)
    points = certify_points(
        network, inputs, labels, norm=norm, arithmetic=arithmetic, routes=routes
    )
    best = routes.index(best_route(network, norm, routes))
    used = {best, *points.route[points.radii > 0].tolist()}
    places = {place: number for number, place in enumerate(sorted(used))}
    route = np.array([places.get(place, 0) for place in points.route.tolist()])
    return points, [routes[place] for place in places], route


def _points(
    points: CertifiedPoints,
    route: NDArray[Any],
    inputs: NDArray[Any],
    labels: NDArray[Any],
    index: ArrayLike | None,
) -> dict[str, list[Any]]:
    return {
        "index": np.asarray(range(len(labels)) if index is None else index).astype(int).tolist(),
        "input_sha256": input_digests(inputs),
        "label": labels.tolist(),
        "prediction": points.predictions.tolist(),
        "radius": [float(value).hex() for value in points.radii],
        "route": route.tolist(),
    }


def _claim(norm: str, arithmetic: str) -> dict[str, str]:
    return {
        "property": "constant label",
        "norm": norm,
        "ball": "closed",
        "units": "raw input",
        "domain": "every input of the ball that the arithmetic represents",
        "arithmetic": arithmetic,
    }


def _certified_at(points: CertifiedPoints, eps: Iterable[float]) -> list[dict[str, Any]]:
    return [
        {"eps": float(value).hex(), "count": int((points.radii >= value).sum())} for value in eps
    ]
