"""Re-deriving a classification certificate from weights and data."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from .bounds import Route, chain_constant, network_constant, prove_chain
from .data import Points, input_digests
from .errors import Invalid
from .graph import Network
from .layer import Layer, LayerBound
from .machine import Binary64
from .radii import certified_radii, split
from .rounding import ARITHMETICS
from .tensors import digest_array
from .words import assumptions, classification_statement


def check_routes(certificate: dict[str, Any], network: Network) -> list[Route]:
    """Prove every stored bound anew; returns them as proven claims, route by route."""
    routes: list[Route] = []
    body = split(network).body
    for place, entry in enumerate(certificate["routes"]):
        where, norm, inputs = f"routes[{place}]", entry["norm"], entry["inputs"]
        if (norm, inputs) in ((route.norm, route.inputs) for route in routes):
            raise Invalid(f"{where}.norm", f"{norm} from {inputs} occurs twice")
        if inputs != norm and not any(layer.op == "dense" for layer in body):
            raise Invalid(f"{where}.inputs", f"no dense layer leads from {inputs} to {norm}")
        claims = _claims(entry["layers"], network.layers, f"{where}.layers")
        prove_chain(network.layers, claims, norm, Binary64(), inputs, f"{where}.layers")
        for name, part in (("body", claims[: len(body)]), ("network", claims)):
            stored = entry["lipschitz"].get(name)
            found = float(chain_constant(part, Binary64()).value)
            if stored is not None and found != stored:
                reason = f"claims {stored!r}, the product is {found!r}"
                raise Invalid(f"{where}.lipschitz.{name}", reason)
        routes.append(Route(norm, claims, inputs))
    value = network_constant(network, routes, certificate["claim"]["norm"], Binary64()).value
    stored = certificate["lipschitz"]["network"]
    if value != stored:
        raise Invalid("lipschitz.network", f"claims {stored!r}, the routes give {float(value)!r}")
    return routes


def _claims(
    stored: list[dict[str, Any]], layers: tuple[Layer, ...], where: str
) -> tuple[LayerBound, ...]:
    """The claims of a chain, for the layers that it has."""
    if len(stored) != len(layers):
        raise Invalid(where, f"{len(stored)} entries for {len(layers)} layers")
    claims = []
    for entry, layer in zip(stored, layers, strict=True):
        at = f"{where}[{layer.index}]"
        if entry["index"] != layer.index or entry["op"] != layer.op:
            raise Invalid(at, f"layer {layer.index} of the network is {layer.op}")
        if len(entry["parts"]) != len(layer.parts):
            raise Invalid(f"{at}.parts", f"{len(entry['parts'])} entries for {len(layer.parts)}")
        parts = (
            _claims(*pair, f"{at}.parts[{place}]")
            for place, pair in enumerate(zip(entry["parts"], layer.parts, strict=True))
        )
        value, method, witness = entry["bound"], entry["method"], entry["witness"]
        claims.append(LayerBound(layer.index, layer.op, value, method, witness, tuple(parts)))
    return tuple(claims)


def check_words(certificate: dict[str, Any], network: Network, statement: str) -> None:
    """Statement and assumptions are those that follow from the claim."""
    if certificate["statement"] != statement:
        raise Invalid("statement", "does not say what the fields say")
    if certificate["assumptions"] != assumptions(network, certificate["claim"]["arithmetic"]):
        raise Invalid("assumptions", "are not those of this claim")


def check_points(certificate: dict[str, Any], points: Points) -> None:
    """The data are those that the certificate was issued for, point by point."""
    stored = certificate["points"]
    count = certificate["summary"]["points"]
    for name, column in stored.items():
        if len(column) != count:
            raise Invalid(f"points.{name}", f"{len(column)} entries for {count} points")
    if len(points.inputs) != count:
        raise Invalid("data", f"{len(points.inputs)} inputs for {count} points")
    if len(set(stored["index"])) != count:
        raise Invalid("points.index", "a data index occurs twice")
    if digest_array(points.inputs) != certificate["data"]["inputs_sha256"]:
        raise Invalid("data.inputs_sha256", "the inputs are not those of the certificate")
    if digest_array(points.labels) != certificate["data"]["labels_sha256"]:
        raise Invalid("data.labels_sha256", "the labels are not those of the certificate")
    for name, found in (("input_sha256", input_digests(points.inputs)), ("label", points.labels)):
        for row, (right, claimed) in enumerate(zip(found, stored[name], strict=True)):
            if right != claimed:
                raise Invalid(f"points.{name}[{row}]", f"claims {claimed}, the data say {right}")


def check_classification(
    certificate: dict[str, Any], network: Network, points: Points
) -> list[Route]:
    """Check every claim. Raises Invalid at the first that does not hold; returns the bounds."""
    claim = certificate["claim"]
    arithmetic = ARITHMETICS[claim["arithmetic"]]
    if points.inputs.shape[1:] != network.input_shape:
        raise Invalid("data", f"inputs of shape {points.inputs.shape[1:]} for this network")
    check_points(certificate, points)
    routes = check_routes(certificate, network)
    stored = certificate["points"]
    chosen = np.array(stored["route"])
    if chosen.max() >= len(routes):
        raise Invalid("points.route", f"there are {len(routes)} routes")
    predictions, radii = np.array(stored["prediction"]), np.array(stored["radius"])
    if predictions.max() >= network.classes:
        raise Invalid("points.prediction", f"the network has {network.classes} classes")
    for place, route in enumerate(routes):
        rows = np.flatnonzero(chosen == place)
        found = certified_radii(network, points.inputs[rows], points.labels[rows], claim["norm"],
                                arithmetic, route)  # fmt: skip
        for at in np.flatnonzero(~(radii[rows] <= found.radii))[:1]:
            reason = f"claims {radii[rows[at]]!r}, proven is {found.radii[at]!r}"
            raise Invalid(f"points.radius[{rows[at]}]", reason)
        for at in np.flatnonzero(~found.possible[np.arange(len(rows)), predictions[rows]])[:1]:
            reason = f"claims {predictions[rows[at]]}, the network says {found.predictions[at]}"
            raise Invalid(f"points.prediction[{rows[at]}]", reason)
    _check_summary(certificate["summary"], predictions, radii, points.labels)
    counts = (certificate["summary"][name] for name in ("points", "correct", "certified"))
    words = classification_statement(claim["norm"], claim["arithmetic"], *counts)
    check_words(certificate, network, words)
    return routes


def _check_summary(
    summary: dict[str, Any], predictions: np.ndarray, radii: np.ndarray, labels: np.ndarray
) -> None:
    wanted = {
        "correct": int((predictions == labels).sum()),
        "certified": int((radii > 0).sum()),
    }
    for name, count in wanted.items():
        if summary[name] != count:
            raise Invalid(f"summary.{name}", f"claims {summary[name]}, counted are {count}")
    ordered = np.sort(radii)
    for place, entry in enumerate(summary["certified_at"]):
        count = len(radii) - int(np.searchsorted(ordered, entry["eps"]))
        if entry["eps"] <= 0 or entry["count"] != count:
            raise Invalid(
                f"summary.certified_at[{place}]", f"claims {entry['count']}, counted are {count}"
            )


def points_table(points: dict[str, Any]) -> bytes:
    """``points.csv``: the certificate's points for people; ``repr`` keeps every digit."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["index", "label", "prediction", "certified_radius"])
    columns = (points[name] for name in ("index", "label", "prediction", "radius"))
    for *whole, radius in zip(*columns, strict=True):
        writer.writerow([*whole, repr(radius)])
    return stream.getvalue().encode("ascii")


def check_table(certificate: dict[str, Any], table: bytes) -> None:
    """``points.csv`` is no part of the proof, but people read it: it must say the same."""
    wanted = points_table(certificate["points"])
    if table == wanted:
        return
    lines = zip(table.split(b"\n"), wanted.split(b"\n"), strict=False)
    line = next((n for n, (found, right) in enumerate(lines, 1) if found != right), "the last")
    raise Invalid("points.csv", f"line {line} does not say what the certificate says")
