"""Whole random networks: drawn around one operation, written as graph and tensors, with inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from definitions import Node, Shape
from drawing import CHARACTERS, Pen, draw_operation

NEEDS_IMAGE = (
    "convolution",
    "transposed_convolution",
    "space_to_depth",
    "depth_to_space",
    "average_pool",
    "max_pool",
    "l2_pool",
)
ELEMENTWISE = (
    "",
    "relu",
    "abs",
    "tanh",
    "sigmoid",
    "identity",
    "scale",
    "leaky_relu",
    "residual",
    "clip",
    "sum",
)
NEEDS_FLAT = ("dense", "distance", "order_statistic", "extension")


@dataclass
class Drawing:
    """A network drawn: its ``chain`` over ``input_shape``; it returns ``classes`` numbers."""

    input_shape: Shape
    chain: list[Node]
    character: str

    @property
    def classes(self) -> int:
        return self.chain[-1].width

    def operations(self) -> set[str]:
        return {node.op for top in self.chain for node in top.walk()}


def draw_shape(pen: Pen, op: str = "") -> Shape:
    """An input shape that ``op`` can take."""
    image = (pen.one_of(1, 1, 2, 3, 4), pen.one_of(1, 1, 2, 3, 4, 5), pen.one_of(1, 1, 2, 3, 4, 5))
    if op in NEEDS_IMAGE or (op not in NEEDS_FLAT and pen.rng.random() < 0.3):
        return image
    long = 0.08 if op in ("distance", "order_statistic") else 0.02
    if op in NEEDS_FLAT and pen.rng.random() < long:
        return (int(pen.rng.integers(100, 700)),)
    if op in ELEMENTWISE and pen.rng.random() < 0.05:
        return (pen.size(), 2)
    return (pen.size(),)


def draw_network(
    rng: np.random.Generator, op: str = "", deepest: int = 4, extreme: bool = True
) -> Drawing:
    """A network that holds ``op``, in a chain of at most about ``deepest`` operations."""
    while True:
        try:
            return _draw(rng, op, deepest, extreme)
        except LookupError:
            continue  # a state grew too large for what was to follow


def _draw(rng: np.random.Generator, op: str, deepest: int, extreme: bool) -> Drawing:
    character = str(rng.choice(CHARACTERS))
    pen = Pen(rng, character, widest=int(rng.choice([6, 12, 24, 40])), extreme=extreme)
    shape = draw_shape(pen, op)
    chain: list[Node] = []
    state = shape

    def append(name: str = "") -> None:
        nonlocal state
        # Channels are only certain for the first layer; see the definition of normalize.
        chain.append(draw_operation(pen, state, 1 if chain else 0, name))
        state = chain[-1].out_shape

    before = int(rng.integers(0, deepest)) if op else int(rng.integers(1, deepest))
    for _ in range(before if not op or rng.random() < 0.5 else 0):
        if op in NEEDS_IMAGE and len(state) == 3:
            kept = len(chain)
            append()
            if len(state) != 3:
                del chain[kept:]
                state = chain[-1].out_shape if chain else shape
        else:
            append()
    if op in NEEDS_FLAT and len(state) != 1:
        append("flatten")
    if len(state) == 2 and op not in ELEMENTWISE:
        append("flatten")
    if op:
        append(op)
    for _ in range(int(rng.integers(0, deepest)) if rng.random() < 0.5 else 0):
        append()
    if len(state) != 1:
        append("flatten")
    if rng.random() < 0.4:
        append("dense")
        for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.4 else 0):
            append(str(rng.choice(["scale", "scale", "identity"])))
    return Drawing(shape, chain, character)


def draw_inputs(rng: np.random.Generator, drawing: Drawing, count: int) -> np.ndarray:
    """Points ``[count, n]``, every number one of binary32, in binary64."""
    size = math.prod(drawing.input_shape)
    x = rng.standard_normal((count, size))
    kinds = rng.integers(0, 8, count)
    x[kinds == 0] = rng.integers(-2, 3, (int((kinds == 0).sum()), size))
    x[kinds == 1] = 0.0
    x[kinds == 2] *= 10.0 ** rng.uniform(-44, 6)
    x[kinds == 3] = 1 + 2.0**-20 * rng.random((int((kinds == 3).sum()), size))
    x[kinds == 4] += rng.choice([1000.0, -1000.0, 1e5])
    for node in drawing.chain[:1]:
        if node.op in ("distance", "extension") and node.weight is not None:
            places = rng.integers(len(node.weight), size=count)
            x[kinds == 5] = node.weight[places][kinds == 5]
            x[kinds == 6] = node.weight[places][kinds == 6] + x[kinds == 6] / 8
    return np.clip(x, -1e30, 1e30).astype(np.float32).astype(np.float64)


def finer(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Points near ``x`` that binary32 does not hold, some of them next to nothing in binary64."""
    moved = x * (1 + 2.0**-40 * rng.integers(-8, 9, x.shape))
    faint = rng.random(len(x)) < 0.2
    moved[faint] *= 10.0 ** rng.uniform(-320, 0, (int(faint.sum()), 1))
    return moved


def written(drawing: Drawing, header: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Graph and tensors as docs/certificates.md describes them; ``header``: format and version."""
    tensors: dict[str, np.ndarray] = {}
    graph = {
        **header,
        "input_shape": list(drawing.input_shape),
        "classes": drawing.classes,
        "layers": _entries(drawing.chain, "layers", tensors),
    }
    return graph, tensors


def _entries(chain: list[Node], prefix: str, tensors: dict[str, np.ndarray]) -> list[Any]:
    found = []
    for index, node in enumerate(chain):
        name = f"{prefix}.{index}"
        entry: dict[str, Any] = {"op": node.op}
        for key, value in node.fields.items():
            entry[key] = _spelled(value)
        if node.weight is not None:
            entry["weight"] = f"{name}.weight"
            tensors[entry["weight"]] = np.ascontiguousarray(node.weight, dtype=np.float32)
            if node.op != "select":
                entry["bias"] = None if node.bias is None else f"{name}.bias"
            if node.bias is not None:
                tensors[entry["bias"]] = np.asarray(node.bias, dtype=np.float32)
        if node.op == "residual":
            entry["layers"] = _entries(node.branches[0], f"{name}.layers", tensors)
        if node.op in ("sum", "concatenate"):
            entry["branches"] = [
                _entries(branch, f"{name}.branches.{number}", tensors)
                for number, branch in enumerate(node.branches)
            ]
        found.append(entry)
    return found


def _spelled(value: Any) -> Any:
    """Reals as hexadecimal floats; integers and words as they are."""
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return float(value).hex() if isinstance(value, float) else value
