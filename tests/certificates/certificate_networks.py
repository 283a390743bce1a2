"""Small networks as data, for tests of certificates: no torch, no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from lipsort_cli.verifier.graph import Network, build_network, graph_text


def orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A float32 matrix with orthonormal rows or columns, whichever are fewer."""
    basis, _ = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    return (basis if rows >= columns else basis.T).astype(np.float32)


def network(layers: list[dict[str, Any]], shape: list[int], classes: int) -> Network:
    """Build a network; a dense layer carries its arrays under ``weight`` and ``bias``."""
    tensors, entries = {}, []
    for index, layer in enumerate(layers):
        entry = dict(layer)
        if entry["op"] == "dense":
            tensors[f"layers.{index}.weight"] = np.asarray(entry["weight"], dtype=np.float32)
            entry["weight"] = f"layers.{index}.weight"
            if entry.get("bias") is not None:
                tensors[f"layers.{index}.bias"] = np.asarray(entry["bias"], dtype=np.float32)
                entry["bias"] = f"layers.{index}.bias"
            else:
                entry["bias"] = None
        entries.append(entry)
    graph = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": shape,
        "classes": classes,
        "layers": entries,
    }
    return build_network(graph, tensors)


def mlp(
    seed: int = 0,
    widths: tuple[int, ...] = (12, 16, 16, 4),
    activation: dict[str, Any] | None = None,
    scale: float = 1.0,
    bias: float = 0.1,
    kind: str = "orthonormal",
) -> Network:
    """A multilayer perceptron with random weights of one kind of constraint."""
    rng = np.random.default_rng(seed)
    layers: list[dict[str, Any]] = [
        {"op": "normalize", "mean": [(0.5).hex()], "std": [(0.25).hex()]},
        {"op": "flatten"},
    ]
    activation = {"op": "groupsort", "group_size": 2} if activation is None else activation
    for depth in range(len(widths) - 1):
        rows, columns = widths[depth + 1], widths[depth]
        weight = orthonormal(rng, rows, columns)
        if kind == "linf":
            weight = rng.standard_normal((rows, columns)).astype(np.float32)
            weight /= np.abs(weight).sum(axis=1, keepdims=True)
        elif kind == "none":
            weight = rng.standard_normal((rows, columns)).astype(np.float32)
        elif kind == "spectral":
            weight = rng.standard_normal((rows, columns)).astype(np.float32)
            weight /= np.float32(np.linalg.norm(weight, 2))
        layers.append(
            {"op": "dense", "weight": weight * scale, "bias": rng.standard_normal(rows) * bias}
        )
        if depth < len(widths) - 2:
            layers.append(dict(activation))
            if activation["op"] == "maxout":
                widths = (
                    *widths[: depth + 1],
                    widths[depth + 1] // activation["group_size"],
                    *widths[depth + 2 :],
                )
    return network(layers, [1, 3, widths[0] // 3], widths[-1])


def save(found: Network, path: Path) -> Path:
    """Write ``model.safetensors``."""
    tensors = {name: np.ascontiguousarray(value) for name, value in found.tensors().items()}
    save_file(tensors, path, metadata={"lipsort_graph": graph_text(found)})
    return path
