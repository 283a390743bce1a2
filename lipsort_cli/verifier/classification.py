"""Re-deriving a classification certificate from weights and data."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsort_cli.verifier.bounds import LayerBound, layer_bound, product
from lipsort_cli.verifier.data import Points, input_digests
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.radii import certified_radii, split
from lipsort_cli.verifier.rounding import ARITHMETICS
from lipsort_cli.verifier.tensors import digest_array
from lipsort_cli.verifier.words import assumptions, classification_statement


def check_layers(certificate: dict[str, Any], network: Network, norm: str) -> list[LayerBound]:
    """Prove every stored layer bound anew; returns them as proven claims.

    ``method`` and ``witness`` only say which proof to try.
    """
    stored = certificate["layers"]
    if len(stored) != len(network.layers):
        raise Invalid("layers", f"{len(stored)} entries for {len(network.layers)} layers")
    claims = []
    for entry, layer in zip(stored, network.layers, strict=True):
        where = f"layers[{layer.index}]"
        if entry["index"] != layer.index or entry["op"] != layer.op:
            raise Invalid(where, f"layer {layer.index} of the network is {layer.op}")
        derived = layer_bound(layer, norm, entry["method"], entry["witness"])
        if derived.method != entry["method"] or derived.witness != entry["witness"]:
            raise Invalid(f"{where}.method", f"the proof named does not work ({derived.method})")
        if not derived.value <= entry["bound"]:
            raise Invalid(
                f"{where}.bound", f"claims {entry['bound']!r}, proven is {derived.value!r}"
            )
        claims.append(
            LayerBound(
                layer.index,
                layer.op,
                entry["bound"],
                derived.method,
                derived.witness,
                derived.parts,
            )
        )
    return claims


def check_products(certificate: dict[str, Any], network: Network, claims: list[LayerBound]) -> None:
    """The constants of body and network are the upward-rounded products of the layer bounds."""
    for name, part in (
        ("body", claims[: len(split(network).body)]),
        ("network", claims),
    ):
        if name in certificate["lipschitz"]:
            value, stored = product(part).value, certificate["lipschitz"][name]
            if value != stored:
                raise Invalid(f"lipschitz.{name}", f"claims {stored!r}, the product is {value!r}")


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
) -> list[LayerBound]:
    """Check every claim. Raises Invalid at the first that does not hold; returns the bounds."""
    claim = certificate["claim"]
    arithmetic = ARITHMETICS[claim["arithmetic"]]
    if points.inputs.shape[1:] != network.input_shape:
        raise Invalid("data", f"inputs of shape {points.inputs.shape[1:]} for this network")
    check_points(certificate, points)
    claims = check_layers(certificate, network, claim["norm"])
    check_products(certificate, network, claims)
    derived = certified_radii(
        network, points.inputs, points.labels, claim["norm"], arithmetic, claims
    )
    stored = certificate["points"]
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
    return claims


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
    for place, entry in enumerate(summary["certified_at"]):
        count = int((radii >= entry["eps"]).sum())
        if entry["eps"] <= 0 or entry["count"] != count:
            raise Invalid(
                f"summary.certified_at[{place}]", f"claims {entry['count']}, counted are {count}"
            )
