"""Re-deriving a classification certificate from weights and data, and the words of any: what it
claims and does not claim, generated, never copied from the file.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

import numpy as np

from .bounds import Route, chain_constant, network_constant, prove_chain
from .errors import Invalid, require
from .graph import Network
from .radii import Claims, split
from .rounding import ARITHMETICS, Binary64
from .tensors import Points, digest_array, input_digests

Certificate = dict[str, Any]
NORM_NAMES = {"l2": "L2", "linf": "L-infinity", "l1": "L1"}
ARITHMETIC_WORDS = {
    "real": "in real arithmetic (the network evaluated without rounding)",
    "binary64": "evaluated in IEEE binary64, sums in any order, fused or not",
    "binary32": "evaluated in IEEE binary32 (float32), sums in any order, fused or not",
}
DIGITS = 12  # significant digits of proven numbers in words; the files hold them exactly


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


def points_table(points: dict[str, Any]) -> bytes:
    """``points.csv``: the certificate's points for people; ``repr`` keeps every digit."""
    columns = (points[name] for name in ("index", "label", "prediction", "radius"))
    rows = (f"{i},{label},{made},{size!r}\n" for i, label, made, size in zip(*columns, strict=True))
    return "".join(["index,label,prediction,certified_radius\n", *rows]).encode("ascii")


def check_table(certificate: dict[str, Any], table: bytes) -> None:
    """People read ``points.csv``: it must say the same."""
    wanted = points_table(certificate["points"])
    lines = enumerate(zip(table.split(b"\n"), wanted.split(b"\n"), strict=False), 1)
    line = next((number for number, (found, right) in lines if found != right), "the last")
    reason = f"line {line} does not say what the certificate says"
    require(table == wanted, "points.csv", reason)


def at_least(value: float, direction: str = ROUND_FLOOR) -> str:
    """A lower bound in ``DIGITS`` digits, rounded down from the exact binary value."""
    text = str(Context(prec=DIGITS, rounding=direction).create_decimal(Decimal(value)))
    return text.rstrip("0").rstrip(".") if "." in text and "E" not in text else text


def at_most(value: float) -> str:
    """An upper bound, rounded up."""
    return at_least(value, ROUND_CEILING)


def classification_statement(
    norm: str, arithmetic: str, points: int, correct: int, certified: int
) -> str:
    """The claim of a classification certificate."""
    return (
        f"Proven: for {certified} of {points} points ({correct} of them predicted as labelled), "
        f"every input within the point's radius in the {NORM_NAMES[norm]} norm, in raw input "
        f"units, gets the point's label from the network {ARITHMETIC_WORDS[arithmetic]}. "
        f"Not claimed: anything about points with radius 0, about other points of the "
        f"distribution, about TF32, bfloat16 or float16, or about any other network."
    )


def assumptions(network: Network, arithmetic: str) -> list[str]:
    """What the proof takes for granted about machines; everything else is checked."""
    found = [
        "ieee-754-verifier: binary64 operations of the verifying machine, and the matrix products "
        "of its NumPy, round to nearest and sum conventionally (any order, fused or not, no "
        "Strassen)",
        "sha-256: no two inputs with the same SHA-256 are known",
    ]
    if ARITHMETICS[arithmetic].unit:
        found.append(
            f"ieee-754-{arithmetic}: the deployed network uses {arithmetic} round-to-nearest for "
            "every operation; sums in any order, fused or not, subnormals kept or flushed; "
            "products of matrices and convolutions as sums of products (no Winograd, FFT or "
            "Strassen algorithm), and no TF32, bfloat16 or float16 inside"
        )
    if network.smooth():
        found.append(
            "libm: binary64 tanh and exp of the verifying machine's NumPy are accurate to 16 units "
            "in the last place"
        )
    return found
