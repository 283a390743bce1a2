"""Re-deriving a classification certificate from weights and data."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from .bounds import LayerBound, Route, layer_bound, layer_norms, network_constant, product
from .data import Points, input_digests
from .errors import Invalid
from .graph import Network
from .layer import Layer
from .machine import Binary64
from .radii import routed_radii, split
from .rounding import ARITHMETICS
from .tensors import digest_array
from .words import assumptions, classification_statement


def check_routes(certificate: dict[str, Any], network: Network) -> list[Route]:
    """Prove every stored bound anew; returns them as proven claims, route by route."""
    routes: list[Route] = []
    for place, entry in enumerate(certificate["routes"]):
        where, norm, inputs = f"routes[{place}]", entry["norm"], entry["inputs"]
        if (norm, inputs) in ((route.norm, route.inputs) for route in routes):
            raise Invalid(f"{where}.norm", f"{norm} from {inputs} occurs twice")
        inner = split(network).body
        if inputs != norm and not any(layer.op == "dense" for layer in inner):
            raise Invalid(f"{where}.inputs", f"no dense layer leads from {inputs} to {norm}")
        claims = _check_layers(entry["layers"], network.layers, norm, f"{where}.layers", inputs)
        body = claims[: len(inner)]
        for name, part in (("body", body), ("network", claims)):
            stored = entry["lipschitz"].get(name)
            if stored is not None and product(part).value != stored:
                reason = f"claims {stored!r}, the product is {product(part).value!r}"
                raise Invalid(f"{where}.lipschitz.{name}", reason)
        routes.append(Route(norm, tuple(claims), inputs))
    value = network_constant(network, routes, certificate["claim"]["norm"], Binary64()).value
    stored = certificate["lipschitz"]["network"]
    if value != stored:
        raise Invalid("lipschitz.network", f"claims {stored!r}, the routes give {float(value)!r}")
    return routes


def _check_layers(
    stored: list[dict[str, Any]],
    layers: tuple[Layer, ...],
    norm: str,
    where: str,
    inputs: str = "",
) -> list[LayerBound]:
    """``method`` and ``witness`` only say which proof to try."""
    if len(stored) != len(layers):
        raise Invalid(where, f"{len(stored)} entries for {len(layers)} layers")
    claims = []
    norms = layer_norms(layers, inputs or norm, norm)
    for entry, layer, (before, after) in zip(stored, layers, norms, strict=True):
        at = f"{where}[{layer.index}]"
        if entry["index"] != layer.index or entry["op"] != layer.op:
            raise Invalid(at, f"layer {layer.index} of the network is {layer.op}")
        if len(entry["parts"]) != len(layer.parts):
            raise Invalid(f"{at}.parts", f"{len(entry['parts'])} entries for {len(layer.parts)}")
        pairs = enumerate(zip(entry["parts"], layer.parts, strict=True))
        parts = tuple(
            tuple(_check_layers(inner, part, after, f"{at}.parts[{place}]"))
            for place, (inner, part) in pairs
        )
        claim = LayerBound(
            layer.index, layer.op, entry["bound"], entry["method"], entry["witness"], parts
        )
        derived = layer_bound(layer, after, claim, before)
        if derived.method != entry["method"] or derived.witness != entry["witness"]:
            raise Invalid(f"{at}.method", f"the proof named does not work ({derived.method})")
        if not derived.value <= entry["bound"]:
            raise Invalid(f"{at}.bound", f"claims {entry['bound']!r}, proven is {derived.value!r}")
        claims.append(claim)
    return claims


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
    for row, (found, claimed) in enumerate(
        zip(input_digests(points.inputs), stored["input_sha256"], strict=True)
    ):
        if found != claimed:
            raise Invalid(f"points.input_sha256[{row}]", "not the input stored")
    for row, (label, claimed) in enumerate(
        zip(points.labels.tolist(), stored["label"], strict=True)
    ):
        if label != claimed:
            raise Invalid(f"points.label[{row}]", f"claims {claimed}, the data say {label}")


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
    derived = routed_radii(
        network, points.inputs, points.labels, claim["norm"], arithmetic, routes, chosen
    )
    predictions, radii = np.array(stored["prediction"]), np.array(stored["radius"])
    if predictions.max() >= network.classes:
        raise Invalid("points.prediction", f"the network has {network.classes} classes")
    for row in np.flatnonzero(~(radii <= derived.radii)):
        raise Invalid(
            f"points.radius[{row}]", f"claims {radii[row]!r}, proven is {derived.radii[row]!r}"
        )
    for row in np.flatnonzero(~derived.possible[np.arange(len(predictions)), predictions]):
        raise Invalid(
            f"points.prediction[{row}]",
            f"claims {predictions[row]}, the network says {derived.predictions[row]}",
        )
    _check_summary(certificate, predictions, radii, points.labels)
    summary = certificate["summary"]
    words = classification_statement(
        claim["norm"],
        claim["arithmetic"],
        summary["points"],
        summary["correct"],
        summary["certified"],
    )
    if certificate["statement"] != words:
        raise Invalid("statement", "does not say what the fields say")
    if certificate["assumptions"] != assumptions(network, claim["arithmetic"]):
        raise Invalid("assumptions", "are not those of this claim")
    return routes


def _check_summary(
    certificate: dict[str, Any], predictions: np.ndarray, radii: np.ndarray, labels: np.ndarray
) -> None:
    summary = certificate["summary"]
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
