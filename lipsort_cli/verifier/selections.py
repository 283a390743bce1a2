"""Operations that move, choose or change signs: exact in any arithmetic, floats or integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.errors import Unsupported
from lipsort_cli.verifier.layer import GROUPED, SHUFFLES, Layer

SELECTIONS = (*GROUPED, *SHUFFLES, "relu", "abs", "max_pool")


def select(layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
    """The layer at ``[N, n]``; exact."""
    if layer.op in GROUPED:
        return _groups(layer, values)
    if layer.op in SHUFFLES:
        return _shuffle(layer, values)
    if layer.op == "relu":
        return np.maximum(values, 0)
    if layer.op == "abs":
        return np.abs(values)
    if layer.op == "max_pool":
        found = None
        for tap in taps(layer, values):
            found = tap.copy() if found is None else np.maximum(found, tap, out=found)
        assert found is not None
        return found.reshape(len(values), layer.width)
    raise Unsupported(f"network.graph.{layer.place}.op", f"no rule for {layer.op!r}")


def taps(layer: Layer, values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Every place of a pooling window in turn, as an image ``[N, C, H', W']``; no copies."""
    images = values.reshape(len(values), *layer.shape)
    height, width = (layer.stride * (size - 1) + 1 for size in layer.out_shape[1:])
    for row in range(layer.size):
        for column in range(layer.size):
            yield images[
                :, :, row : row + height : layer.stride, column : column + width : layer.stride
            ]


def _groups(layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
    """Groups of contiguous features; on images, of contiguous channels at each pixel."""
    pixels = 1
    for size in layer.shape[1:]:
        pixels *= size
    groups = values.reshape(len(values), -1, layer.size, pixels)
    if layer.op == "maxout":
        made = groups.max(axis=2)
    elif layer.size == 2:
        made = np.empty_like(groups)
        np.minimum(groups[:, :, 0], groups[:, :, 1], out=made[:, :, 0])
        np.maximum(groups[:, :, 0], groups[:, :, 1], out=made[:, :, 1])
    else:
        made = np.sort(groups, axis=2)
    return made.reshape(len(values), layer.width)


def _shuffle(layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
    """Channel ``c b^2 + i b + j`` of the deep image is pixel ``(i, j)`` of each block."""
    block = layer.size
    if layer.op == "space_to_depth":
        channels, height, width = layer.shape
        parts = (channels, height // block, block, width // block, block)
        order = (0, 1, 3, 5, 2, 4)
    else:
        channels, height, width = layer.out_shape
        parts = (channels, block, block, height // block, width // block)
        order = (0, 1, 4, 2, 5, 3)
    moved = values.reshape(len(values), *parts).transpose(order)
    return np.ascontiguousarray(moved).reshape(len(values), layer.width)
