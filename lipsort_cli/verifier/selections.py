"""Operations that move, choose or change signs: exact in any arithmetic, floats or integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.errors import Unsupported
from lipsort_cli.verifier.layer import GROUPED, SHUFFLES, Layer

SELECTIONS = (*GROUPED, *SHUFFLES, "relu", "abs", "max_pool", "order_statistic")

_BLOCK = 64
_PIECE = 1 << 21


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
    if layer.op == "order_statistic":
        return _order_statistic(layer, values)
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


def _order_statistic(layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
    """The largest level whose votes reach the threshold; float32 adds its whole numbers exactly."""
    assert layer.weight is not None and layer.bias is not None
    weight = layer.weight
    votes = np.concatenate([np.maximum(weight, 0), np.maximum(-weight, 0)], axis=1)
    wanted = layer.bias
    made = np.empty((len(values), layer.width), dtype=values.dtype)
    blocks = votes.shape[1] // _BLOCK + 1
    step = max(1, _PIECE // (max(layer.width * _BLOCK, blocks * votes.shape[1])))
    for start in range(0, len(values), step):
        rows = slice(start, start + step)
        made[rows] = _levels(values[rows], votes, wanted)
    return made


def _levels(
    values: NDArray[Any], votes: NDArray[np.float32], wanted: NDArray[np.float32]
) -> NDArray[Any]:
    """Votes added up in blocks of falling levels, then one by one in the block that decides."""
    literals = np.concatenate([values, -values], axis=1)
    points, count = literals.shape
    order = np.argsort(-literals, axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(count), order.shape), axis=1)
    ends = np.arange(0, count, _BLOCK)
    # before[n, k, j]: what the levels ahead of block k add up to.
    before = (rank[:, None] < ends[:, None]).astype(np.float32) @ votes.T
    block = (before < wanted).sum(axis=1) - 1
    places = np.minimum(block[..., None] * _BLOCK + np.arange(_BLOCK), count - 1)
    index = np.arange(points)[:, None, None]
    literal = order[index, places]
    running = votes[np.arange(len(votes))[:, None], literal]
    np.cumsum(running, axis=2, out=running)
    running += np.take_along_axis(before, block[:, None], axis=1).transpose(0, 2, 1)
    first = np.minimum((running < wanted[:, None]).sum(axis=2), _BLOCK - 1)
    found = literals[index[..., 0], np.take_along_axis(literal, first[..., None], axis=2)[..., 0]]
    if found.dtype.kind == "f":
        found[np.isnan(values).any(axis=1)] = np.nan
    return found


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
