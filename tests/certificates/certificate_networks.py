"""Small networks as data, for tests of certificates: no torch, no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from lipsort_cli.verifier.bounds import carry
from lipsort_cli.verifier.graph import Network, build_network
from lipsort_cli.verifier.rounding import Arithmetic, Binary64
from lipsort_cli.verifier.state import State


def orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A float32 matrix with orthonormal rows or columns, whichever are fewer."""
    basis, _ = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    return (basis if rows >= columns else basis.T).astype(np.float32)


def network(layers: list[dict[str, Any]], shape: list[int], classes: int) -> Network:
    """Build a network; layers carry their arrays under ``weight`` and ``bias``."""
    tensors: dict[str, np.ndarray] = {}
    graph = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": shape,
        "classes": classes,
        "layers": entries(layers, "layers", tensors),
    }
    return build_network(graph, tensors)


def entries(
    layers: list[dict[str, Any]], prefix: str, tensors: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """The graph's entries; their arrays go to ``tensors``."""
    found = []
    for index, layer in enumerate(layers):
        entry, name = dict(layer), f"{prefix}.{index}"
        if "weight" in entry:
            for key in ("weight",) if entry["op"] == "select" else ("weight", "bias"):
                values = entry.get(key)
                entry[key] = None if values is None else f"{name}.{key}"
                if values is not None:
                    tensors[f"{name}.{key}"] = np.asarray(values, dtype=np.float32)
        if entry["op"] == "residual":
            entry["layers"] = entries(entry["layers"], f"{name}.layers", tensors)
        if entry["op"] in ("sum", "concatenate"):
            entry["branches"] = [
                entries(branch, f"{name}.branches.{number}", tensors)
                for number, branch in enumerate(entry["branches"])
            ]
        found.append(entry)
    return found


def convolution(weight: np.ndarray, bias: Any = None, **options: Any) -> dict[str, Any]:
    """The entry of a convolution (or, with ``op``, of a transposed one)."""
    entry = {"op": "convolution", "weight": weight, "bias": bias, "stride": 1, "padding": 0}
    entry |= {"dilation": 1, "groups": 1, **options}
    if entry["op"] == "convolution":
        entry.setdefault("padding_mode", "zeros")
    return entry


def image_layers(seed: int, scale: float = 1.0) -> list[dict[str, Any]]:
    """Convolutions, channel sorts, pools and shuffles from ``[2, 8, 8]`` to 3 classes."""
    rng = np.random.default_rng(seed)

    def kernel(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape) * scale / np.sqrt(np.prod(shape[1:]))

    return [
        {
            "op": "normalize",
            "mean": [(0.5).hex(), (0.25).hex()],
            "std": [(0.5).hex(), (0.25).hex()],
        },
        convolution(kernel(8, 2, 3, 3), rng.standard_normal(8) * 0.1, padding=1),
        {"op": "groupsort", "group_size": 2},
        {"op": "space_to_depth", "block": 2},
        convolution(kernel(16, 8, 3, 2), rng.standard_normal(16) * 0.1, padding=2, groups=4),
        {"op": "maxout", "group_size": 2},
        convolution(kernel(8, 8, 2, 2), None, stride=2, dilation=1, padding=1),
        {"op": "groupsort", "group_size": 4},
        {"op": "depth_to_space", "block": 2},
        convolution(
            kernel(2, 3, 3, 3), rng.standard_normal(3) * 0.1, op="transposed_convolution", stride=2
        ),
        {"op": "abs"},
        {"op": "average_pool", "kernel": 3, "stride": 2},
        {"op": "max_pool", "kernel": 2, "stride": 1},
        {"op": "l2_pool", "kernel": 2, "stride": 2},
        {"op": "flatten"},
        {"op": "dense", "weight": rng.standard_normal((3, 27)) / 4, "bias": None},
    ]


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
    save_file(tensors, path, metadata={"lipsort_graph": json.dumps(found.graph(), sort_keys=True)})
    return path


def propagate(
    layers: Any, bounds: Any, inputs: Any, norm: str, arithmetic: Arithmetic, m: Any = None
) -> State:
    """What is known after ``layers`` of inputs ``[N, n]``, on the machine ``m``."""
    state = State.at(Binary64() if m is None else m, inputs, norm, arithmetic)
    with np.errstate(all="ignore"):
        carry(state, layers, bounds)
    return state
