"""Attacks certificates with DeepFool, PGD and a rounding search at the radius itself.

Networks of every kind of weight, activation, depth and scale are drawn at random; certificates
are of float32 in any summation order, L2 and L-infinity. Part of ``benchmarks/soundness.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.certificates.points import certify_points, evaluate
from lipsort_cli.verifier.graph import Network, build_network

ACTIVATIONS: list[dict[str, Any]] = [
    {"op": "groupsort", "group_size": 2},
    {"op": "groupsort", "group_size": 4},
    {"op": "groupsort", "group_size": 8},
    {"op": "maxout", "group_size": 2},
    {"op": "relu"},
    {"op": "leaky_relu", "slope": (0.1).hex()},
    {"op": "abs"},
    {"op": "identity"},
]
KINDS = ("orthonormal", "linf", "spectral", "none")
SPECIAL = ("plain", "huge bias", "tiny weights", "scaled", "wide")
BATCH = 250


def weight(rng: np.random.Generator, kind: str, rows: int, columns: int) -> np.ndarray:
    """A random weight of one kind of constraint."""
    matrix = rng.standard_normal((rows, columns))
    if kind == "orthonormal":
        basis = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))[0]
        return basis if rows >= columns else basis.T
    if kind == "linf":
        return matrix / np.abs(matrix).sum(axis=1, keepdims=True)
    if kind == "spectral":
        return matrix / np.linalg.norm(matrix, 2)
    return matrix


def random_network(
    rng: np.random.Generator, kind: str, activation: dict[str, Any], special: str
) -> Network:
    """A random multilayer perceptron over inputs of shape [1, 4, 4] with 3 to 6 classes."""
    depth = int(rng.integers(0, 4))
    width = 128 if special == "wide" else int(rng.choice([8, 16, 32]))
    classes = int(rng.integers(3, 7))
    scale = 1e-13 if special == "tiny weights" else 1.0
    bias = 1e6 if special == "huge bias" else 0.2
    layers: list[dict[str, Any]] = [
        {"op": "normalize", "mean": [(0.5).hex()], "std": [(0.25).hex()]},
        {"op": "flatten"},
    ]
    tensors: dict[str, np.ndarray] = {}
    columns = 16
    for level in range(depth + 1):
        rows = classes if level == depth else width
        name = f"layers.{len(layers)}"
        matrix = weight(rng, kind, rows, columns) * scale
        shift = rng.standard_normal(rows) * bias
        if special == "huge bias":
            # The same for all: the margin stays, and sits on top of a million.
            shift = np.full(rows, bias) + rng.standard_normal(rows) * 0.2
        tensors[f"{name}.weight"] = np.ascontiguousarray(matrix, dtype=np.float32)
        tensors[f"{name}.bias"] = (shift * scale ** (level + 1)).astype(np.float32)
        layers.append({"op": "dense", "weight": f"{name}.weight", "bias": f"{name}.bias"})
        columns = rows
        if level < depth:
            layers.append(dict(activation))
            if activation["op"] == "maxout":
                columns //= activation["group_size"]
            if special == "scaled":
                layers.append({"op": "scale", "factor": float(rng.uniform(0.5, 3)).hex()})
    if special == "scaled":
        layers.append({"op": "scale", "factor": float(rng.uniform(0.1, 10)).hex()})
    graph = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": [1, 4, 4],
        "classes": classes,
        "layers": layers,
    }
    return build_network(graph, tensors)


def families() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every combination of weights, activation and speciality, over and over."""
    while True:
        for special in SPECIAL:
            for kind in KINDS:
                for activation in ACTIVATIONS:
                    yield kind, activation, special


def attack_network(
    network: Network, rng: np.random.Generator, norm: str, count: int, seed: int
) -> dict[str, float]:
    """Certify ``count`` points of one network, attack them, and count what happened."""
    inputs = rng.random((count, *network.input_shape), dtype=np.float32)
    labels = evaluate(network, inputs, "real").logits.argmax(axis=1)
    points = certify_points(network, inputs, labels, norm=norm, arithmetic="binary32")
    radii = points.radii
    certified = radii > 0
    campaign = Campaign(network, norm=norm, arithmetic="binary32", bounds=None, steps=6, seed=seed)
    budgets = [float(np.quantile(radii[certified], 0.9))] if certified.any() else []
    findings = campaign.run(["deepfool", "pgd", "rounding"], inputs, labels, radii, budgets)
    broken = certified & (findings.nearest <= radii)
    both = certified & np.isfinite(findings.nearest)
    ratio = findings.nearest[both] / radii[both]
    return {
        "points": count,
        "certified": int(certified.sum()),
        "fooled": int(np.isfinite(findings.nearest).sum()),
        "violations": int(broken.sum()),
        "closest": float(ratio.min()) if len(ratio) else float("inf"),
    }


def attack_points(points: int, seed: int) -> tuple[str, int, int]:
    """Attack until ``points`` certified ones were; a table, how many there were, violations."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    totals: dict[str, dict[str, float]] = {}
    attacked, networks = 0, 0
    for kind, activation, special in families():
        network = random_network(rng, kind, activation, special)
        norm = str(rng.choice(["l2", "linf"]))
        found = attack_network(network, rng, norm, BATCH, seed + networks)
        networks += 1
        attacked += int(found["certified"])
        row = totals.setdefault(f"{special}, {kind}", dict.fromkeys(found, 0.0))
        closest = min(row["closest"] or float("inf"), found["closest"])
        for key, value in found.items():
            row[key] += value
        row["closest"] = closest
        if attacked >= points:
            break
    lines = [f"{'family':28}{'points':>9}{'certified':>11}{'fooled':>9}{'closest':>11}"]
    for name, row in totals.items():
        lines.append(
            f"{name:28}{row['points']:9.0f}{row['certified']:11.0f}{row['fooled']:9.0f}"
            f"{row['closest']:11.6f}"
        )
    lines.append(f"{attacked} certified points of {networks} networks; closest: smallest distance")
    lines.append("of a fooling input over the certified radius, at least 1 unless violated")
    return "\n".join(lines), attacked, int(sum(row["violations"] for row in totals.values()))
