"""The inputs that a certificate covers: read from beside it, or from a data set of the user's."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import Invalid
from .strictjson import sha256
from .tensors import parse_tensors


class Points(NamedTuple):
    """``inputs`` float ``[N, *shape]`` and ``labels`` int64 ``[N]``."""

    inputs: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]


def pixels(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``float32(k) / float32(255)``: how eight-bit pixels become inputs in [0, 1]."""
    return values.astype(np.float32) / np.float32(255)


def stored_points(data: bytes, encoding: str, where: str) -> Points:
    """Points of a certificate's own data file: tensors ``inputs`` and ``labels``."""
    tensors, _ = parse_tensors(data, where)
    if set(tensors) != {"inputs", "labels"}:
        raise Invalid(where, "expected the tensors 'inputs' and 'labels'")
    inputs, labels = tensors["inputs"], tensors["labels"]
    kinds = {"uint8/255": np.uint8, "float32": np.float32, "float64": np.float64}
    if inputs.dtype != kinds[encoding] or labels.dtype != np.int64 or labels.ndim != 1:
        raise Invalid(where, f"tensors do not match the encoding {encoding!r}")
    if len(inputs) != len(labels) or inputs.ndim < 2:
        raise Invalid(where, "inputs and labels differ in number")
    return Points(pixels(inputs) if encoding == "uint8/255" else inputs, labels)


def input_digests(inputs: NDArray[np.floating[Any]]) -> list[str]:
    """SHA-256 of the little-endian contents of every input."""
    little = np.ascontiguousarray(inputs, dtype=inputs.dtype.newbyteorder("<"))
    return [sha256(row.tobytes()) for row in little]
