"""One operation of a network as data, and the table of all operations.

What an operation means is the formula beside it in :data:`OPERATIONS`; an operation that is not in
that table is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CONVOLUTION = ("weight", "bias", "stride", "padding", "dilation", "groups")

OPERATIONS: dict[str, tuple[str, ...]] = {
    "normalize": ("mean", "std"),  # (x - mean) / std, one value a channel or one for all
    "flatten": (),
    "dense": ("weight", "bias"),  # W x + b
    "groupsort": ("group_size",),  # contiguous groups, ascending
    "maxout": ("group_size",),  # maximum of contiguous groups
    "relu": (),
    "leaky_relu": ("slope",),  # max(x, 0) + slope * min(x, 0)
    "abs": (),
    "tanh": (),
    "sigmoid": (),
    "identity": (),
    "scale": ("factor",),  # factor * x
    "convolution": (*_CONVOLUTION, "padding_mode"),  # y_o(u) = sum K_oi(t) x_i(s u + d t - p) + b_o
    "transposed_convolution": _CONVOLUTION,  # the transpose of a convolution without bias, + b_o
    "space_to_depth": ("block",),  # [C, H, W] to [C b b, H / b, W / b]
    "depth_to_space": ("block",),  # the inverse of space_to_depth
    "average_pool": ("kernel", "stride"),  # mean of each window
    "max_pool": ("kernel", "stride"),  # maximum of each window
    "l2_pool": ("kernel", "stride"),  # square root of the sum of squares of each window
    "residual": ("skip", "branch", "layers"),  # skip * x + branch * f(x)
    "concatenate": ("branches",),  # (f1(x), f2(x), ...) along the first axis
    "distance": ("weight", "bias", "decay"),  # sum_k (1 - decay) decay^k sorted(|x - w|)_k + b
    # max { t : sum_i |w_ji| [sign(w_ji) x_i >= t] >= b_j }, w and b whole numbers
    "order_statistic": ("weight", "bias"),
    "extension": ("weight", "bias"),  # max_j (b_j - ||x - w_j||_2)
}
"""Operations of version 1 and the fields that each one has."""

SMOOTH = ("tanh", "sigmoid")
GROUPED = ("groupsort", "maxout")
CONVOLUTIONS = ("convolution", "transposed_convolution")
POOLS = ("average_pool", "max_pool", "l2_pool")
SHUFFLES = ("space_to_depth", "depth_to_space")
CONTAINERS = ("residual", "concatenate")


@dataclass(frozen=True)
class Layer:
    """One operation from ``shape`` to ``out_shape`` (``inputs`` to ``width`` components).

    ``numbers`` are its scalars, ``size`` its group size, block or pooling kernel; for
    ``normalize``, ``numbers`` is ``(mean..., std...)``, one pair a channel. ``parts`` are the
    chains inside a container. ``name`` is the prefix of its tensors' names.
    """

    index: int
    op: str
    inputs: int
    width: int
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    numbers: tuple[float, ...] = ()
    size: int = 1
    shape: tuple[int, ...] = ()
    out_shape: tuple[int, ...] = ()
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    circular: bool = False
    parts: tuple[tuple[Layer, ...], ...] = ()
    name: str = ""

    def walk(self) -> Iterator[Layer]:
        """This layer and all layers inside it, in the order of the graph."""
        yield self
        for part in self.parts:
            for layer in part:
                yield from layer.walk()

    @property
    def place(self) -> str:
        """Where the graph has this layer, for messages: ``layers[2].branches[0][1]``."""
        if not self.name:
            return f"layers[{self.index}]"
        text = ""
        for part in self.name.split("."):
            text += f"[{part}]" if part.isdigit() else f".{part}"
        return text[1:]


def normalization(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every input component, each ``[n]``."""
    half = len(layer.numbers) // 2
    repeat = layer.inputs // half
    values = np.array(layer.numbers, dtype=np.float64)
    return np.repeat(values[:half], repeat), np.repeat(values[half:], repeat)


def describe(layer: Layer) -> dict[str, Any]:
    """The layer's entry in its one canonical form."""
    entry: dict[str, Any] = {"op": layer.op}
    fields = OPERATIONS[layer.op]
    if "weight" in fields:
        entry["weight"] = f"{layer.name}.weight"
        entry["bias"] = None if layer.bias is None else f"{layer.name}.bias"
    if layer.op == "normalize":
        half = len(layer.numbers) // 2
        entry["mean"] = [value.hex() for value in layer.numbers[:half]]
        entry["std"] = [value.hex() for value in layer.numbers[half:]]
        return entry
    if layer.op in CONVOLUTIONS:
        for key in ("stride", "padding", "dilation", "groups"):
            entry[key] = getattr(layer, key)
        if layer.op == "convolution":
            entry["padding_mode"] = "circular" if layer.circular else "zeros"
        return entry
    if layer.op in POOLS:
        return {**entry, "kernel": layer.size, "stride": layer.stride}
    if layer.op == "concatenate":
        entry["branches"] = [[describe(item) for item in part] for part in layer.parts]
        return entry
    if layer.op == "residual":
        entry["layers"] = [describe(item) for item in layer.parts[0]]
    for key in ("group_size", "block"):
        if key in fields:
            entry[key] = layer.size
    reals = [key for key in ("slope", "factor", "skip", "branch", "decay") if key in fields]
    entry.update(zip(reals, (value.hex() for value in layer.numbers), strict=True))
    return entry
