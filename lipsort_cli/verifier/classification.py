"""Re-deriving a classification certificate from weights and data."""

from typing import Any

import numpy as np

from .bounds import Route, chain_constant, network_constant, prove_chain
from .errors import Invalid, require
from .graph import Network
from .radii import Claims, split
from .rounding import ARITHMETICS, Binary64
from .tensors import Points, digest_array, input_digests
from .words import assumptions, classification_statement

Certificate = dict[str, Any]


def check_routes(certificate: Certificate, network: Network) -> list[Route]:
    """Prove every stored bound anew; returns them as proven claims, route by route."""
    routes: list[Route] = []
    body = split(network).body
    crossed = any(layer.op == "dense" for layer in body)
    for place, entry in enumerate(certificate["routes"]):
        where, norm, inputs = f"routes[{place}]", entry["norm"], entry["inputs"]
        new = (norm, inputs) not in ((route.norm, route.inputs) for route in routes)
        require(new, f"{where}.norm", f"{norm} from {inputs} occurs twice")
        reason = f"no dense layer leads from {inputs} to {norm}"
        require(inputs == norm or crossed, f"{where}.inputs", reason)
        claims = tuple(entry["layers"])
        prove_chain(network.layers, claims, norm, Binary64(), inputs, f"{where}.layers")
        for name, stored in entry["lipschitz"].items():
            part = claims[: len(body)] if name == "body" else claims
            found = float(chain_constant(part, Binary64()).value)
            reason = f"claims {stored!r}, the product is {found!r}"
            require(found == stored, f"{where}.lipschitz.{name}", reason)
        routes.append(Route(norm, claims, inputs))
    value = network_constant(network, routes, certificate["claim"]["norm"], Binary64()).value
    stored = certificate["lipschitz"]["network"]
    reason = f"claims {stored!r}, the routes give {float(value)!r}"
    require(value == stored, "lipschitz.network", reason)
    return routes


def check_words(certificate: Certificate, network: Network, statement: str) -> None:
    """Statement and assumptions are those that follow from the claim."""
    reason = "does not say what the fields say"
    require(certificate["statement"] == statement, "statement", reason)
    wanted = assumptions(network, certificate["claim"]["arithmetic"])
    require(certificate["assumptions"] == wanted, "assumptions", "are not those of this claim")


def check_points(certificate: Certificate, points: Points) -> None:
    """The data are those that the certificate was issued for, point by point."""
    stored, count = certificate["points"], certificate["summary"]["points"]
    for name, column in stored.items():
        reason = f"{len(column)} entries for {count} points"
        require(len(column) == count, f"points.{name}", reason)
    require(len(points.inputs) == count, "data", f"{len(points.inputs)} inputs for {count} points")
    require(np.isfinite(points.inputs).all(), "data", "NaN or infinity among the inputs")
    require(len(set(stored["index"])) == count, "points.index", "a data index occurs twice")
    for name, array in points._asdict().items():
        same = digest_array(array) == certificate["data"][f"{name}_sha256"]
        require(same, f"data.{name}_sha256", f"the {name} are not those of the certificate")
    for name, found in (("input_sha256", input_digests(points.inputs)), ("label", points.labels)):
        for row, (right, claimed) in enumerate(zip(found, stored[name], strict=True)):
            if right != claimed:
                raise Invalid(f"points.{name}[{row}]", f"claims {claimed}, the data say {right}")


def check_classification(certificate: Certificate, network: Network, points: Points) -> Claims:
    """Check every claim. Raises Invalid at the first that does not hold; returns the radii's."""
    claim, stored = certificate["claim"], certificate["points"]
    shape = points.inputs.shape[1:]
    require(shape == network.input_shape, "data", f"inputs of shape {shape} for this network")
    check_points(certificate, points)
    routes = check_routes(certificate, network)
    chosen, predictions = np.array(stored["route"]), np.array(stored["prediction"])
    radii = np.array(stored["radius"])
    for name, column, count, what in (
        ("route", chosen, len(routes), "routes"),
        ("prediction", predictions, network.classes, "classes"),
    ):
        require(column.max() < count, f"points.{name}", f"there are {count} {what}")
    given = radii, claim["norm"], ARITHMETICS[claim["arithmetic"]], routes, chosen
    claims, rows = Claims(points.inputs, points.labels, *given), np.arange(len(radii))
    verdicts, possible = claims.judge(network, rows, Binary64())
    proven = (radii == 0) | (verdicts == 1)
    said = possible[rows, predictions] & ~((verdicts == 1) & (predictions != points.labels))
    for row in np.flatnonzero(~(proven & said))[:1]:
        reason = f"claims {float(radii[row])!r}, which is not proven"
        require(proven[row], f"points.radius[{row}]", reason)
        reason = f"claims {predictions[row]}, the network says another class"
        require(said[row], f"points.prediction[{row}]", reason)
    _check_summary(certificate["summary"], predictions, radii, points.labels)
    counts = (certificate["summary"][name] for name in ("points", "correct", "certified"))
    words = classification_statement(claim["norm"], claim["arithmetic"], *counts)
    check_words(certificate, network, words)
    return claims


def _check_summary(
    summary: dict[str, Any], predictions: np.ndarray, radii: np.ndarray, labels: np.ndarray
) -> None:
    found = {"correct": (predictions == labels).sum(), "certified": (radii > 0).sum()}
    for name, count in found.items():
        reason = f"claims {summary[name]}, counted are {count}"
        require(summary[name] == count, f"summary.{name}", reason)
    ordered = np.sort(radii)
    for place, entry in enumerate(summary["certified_at"]):
        count = len(radii) - int(np.searchsorted(ordered, entry["eps"]))
        reason = f"claims {entry['count']}, counted are {count}"
        right = entry["eps"] > 0 and entry["count"] == count
        require(right, f"summary.certified_at[{place}]", reason)
