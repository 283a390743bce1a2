"""The only place of the referee that knows how the verifier is called.

Everything here returns plain numbers; :class:`Refused` says that the verifier claims nothing.
"""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from lipsort_cli.certificates.points import output_errors
from lipsort_cli.certificates.reach import certified_radii
from lipsort_cli.certificates.search import find_bounds, find_route
from lipsort_cli.certificates.w1 import w1_lower_bound
from lipsort_cli.verification import verify as _verify
from lipsort_cli.verifier import graph as _graph
from lipsort_cli.verifier.bounds import Route
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.onnx import onnx_bytes
from lipsort_cli.verifier.operation import names as _names
from lipsort_cli.verifier.radii import split
from lipsort_cli.verifier.rounding import ARITHMETICS
from lipsort_cli.verifier.rounding import NORMS as _NORMS

HEADER = {"format": "lipsort-graph", "version": 1}
NORMS = ("l2", "linf", "l1")


class Refused(Exception):
    """The verifier turns the network down: nothing is claimed, so nothing can be false."""


def operations() -> tuple[str, ...]:
    """Every operation that the verifier knows."""
    return tuple(_names())


def known_norms() -> tuple[str, ...]:
    """Every norm in which the verifier bounds constants."""
    return tuple(_NORMS)


def build(graph: dict[str, Any], tensors: dict[str, np.ndarray]) -> Any:
    """The verifier's network."""
    try:
        return _graph.build_network(graph, tensors)
    except (Invalid, Unsupported) as fault:
        raise Refused(str(fault)) from None


def bounds(network: Any, norm: str) -> list[float]:
    """The proven constant of every layer of the chain."""
    return [bound.value for bound in find_bounds(network, norm)]


def crossed(network: Any, before: str, after: str) -> float:
    """The proven constant of a first dense layer from one norm to another."""
    return find_route(network, after, before).bounds[0].value


def errors(
    network: Any, inputs: np.ndarray, norm: str, arithmetic: str
) -> tuple[np.ndarray, np.ndarray]:
    """The verifier's logits ``[N, C]`` and its bound ``[N]`` of what an arithmetic differs."""
    try:
        route = find_route(network, norm)
        return output_errors(network, _shaped(network, inputs), ARITHMETICS[arithmetic], route)
    except Unsupported as fault:
        raise Refused(str(fault)) from None


def radii(
    network: Any, inputs: np.ndarray, labels: np.ndarray, norm: str, arithmetic: str
) -> np.ndarray:
    """Certified radii ``[N]``, by the best route through any norm."""
    kind, shaped = ARITHMETICS[arithmetic], _shaped(network, inputs)
    try:
        found = [
            certified_radii(network, shaped, labels, norm, kind, route)
            for route in _routes(network)
        ]
    except Unsupported as fault:
        raise Refused(str(fault)) from None
    best: np.ndarray = np.max([one.radii for one in found], axis=0)
    return best


def wasserstein(
    network: Any,
    x: np.ndarray,
    y: np.ndarray,
    x_weights: np.ndarray | None,
    y_weights: np.ndarray | None,
    norm: str,
) -> float:
    """The proven lower bound of W1 between two weighted samples."""
    tensors = {"x": _shaped(network, x), "y": _shaped(network, y)}
    for side, weights in (("x", x_weights), ("y", y_weights)):
        if weights is not None:
            tensors[f"{side}_weights"] = weights
    try:
        return w1_lower_bound(network, tensors, norm, _routes(network))
    except Unsupported as fault:
        raise Refused(str(fault)) from None


def _routes(network: Any) -> list[Route]:
    """Every way that the verifier may go: the best of them is what is claimed.

    Where a dense layer comes before the head, norms may change in it as well.
    """
    crossing = any(layer.op == "dense" for layer in split(network).body)
    pairs = permutations(NORMS, 2) if crossing else ()
    plain = [find_route(network, norm) for norm in NORMS]
    return [*plain, *(find_route(network, norm, inputs) for inputs, norm in pairs)]


def onnx(network: Any) -> bytes:
    """The network as an ONNX file; raises :class:`Refused` for operations that it has not."""
    try:
        return onnx_bytes(network)
    except Unsupported as fault:
        raise Refused(str(fault)) from None


def save(network: Any, path: Path) -> Path:
    """``model.safetensors`` as ``lipsort`` writes it."""
    from safetensors.numpy import save_file

    tensors = {name: np.ascontiguousarray(value) for name, value in network.tensors().items()}
    save_file(
        tensors, path, metadata={"lipsort_graph": json.dumps(network.graph(), sort_keys=True)}
    )
    return path


def _shaped(network: Any, inputs: np.ndarray) -> np.ndarray:
    return inputs.reshape(len(inputs), *network.input_shape)


def verify(path: Path, **options: Any) -> str:
    """VALID, INVALID or UNSUPPORTED."""
    return str(_verify(path, **options).status)


def verdict(path: Path, **options: Any) -> tuple[str, str, str]:
    """Status, the field at fault and the reason."""
    found = _verify(path, **options)
    return str(found.status), str(found.field), str(found.reason)
