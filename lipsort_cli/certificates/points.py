"""Certified radii of points, in process: what `lipsort train` and `lipsort certify` call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipsort_cli.config.certificates import REFUSED_ARITHMETICS
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.verifier.bounds import (
    LayerBound,
    LayerwiseBound,
    Route,
    layer_bound,
    layer_bounds,
    network_constant,
    product,
)
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.graph import Network, read_network
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.machine import Binary64
from lipsort_cli.verifier.radii import output_errors, routed_radii, split
from lipsort_cli.verifier.rounding import ARITHMETICS, NORMS, Arithmetic, gradual_underflow, up

INFLATION = 2.0**-32
"""Issued layer bounds are raised by this share, so that another machine's sums confirm them."""
EXACT_METHODS = ("1-Lipschitz", "factor", "slope", "1/4", "zero")
"""Bounds that are exact numbers, the same on every machine."""
GUARD = 4.0
"""Issued radii allow for this multiple of binary64's own error, for the same reason."""


class Evaluation(NamedTuple):
    """``logits`` float64 ``[N, C]``; every logit is within ``error`` ``[N]`` of the true one."""

    logits: NDArray[np.float64]
    error: NDArray[np.float64]


class CertifiedPoints(NamedTuple):
    """``predictions`` int64 ``[N]``; ``radii`` float64 ``[N]``, 0.0 where nothing is certified.

    ``lipschitz`` bounds the whole network's constant. Evidence: proven.
    """

    predictions: NDArray[np.int64]
    radii: NDArray[np.float64]
    lipschitz: float
    norm: str
    arithmetic: str


def load_network(path: str | Path) -> Network:
    """Read and check ``model.safetensors``. Raises LipsortError when it is no sound network."""
    try:
        return read_network(Path(path))
    except (Invalid, Unsupported) as error:
        raise LipsortError(f"{path}: {error}") from None


def resolve_arithmetic(name: str) -> Arithmetic:
    """The arithmetic called ``name``; raises UsageError with the reason for those refused."""
    if name not in ARITHMETICS:
        reason = REFUSED_ARITHMETICS.get(name)
        raise UsageError(
            f"arithmetic: found {name!r}; allowed: {', '.join(ARITHMETICS)}"
            + (f" ({reason})" if reason else "")
        )
    return ARITHMETICS[name]


def issued_bounds(network: Network, norm: str) -> list[LayerBound]:
    """Proven layer bounds with room for another machine's rounding."""
    if norm not in NORMS:
        raise UsageError(f"norm={norm}: allowed are {', '.join(NORMS)}")
    if not gradual_underflow():
        raise LipsortError(
            "this process flushes subnormal numbers to zero, which the bounds do not allow; "
            "start a new process without torch.set_flush_denormal(True)"
        )
    pairs = zip(network.layers, layer_bounds(network, norm), strict=True)
    return [_raised(layer, bound, norm) for layer, bound in pairs]


def issued_routes(network: Network, norms: Iterable[str]) -> list[Route]:
    """Those bounds in each of several norms."""
    return [Route(norm, tuple(issued_bounds(network, norm))) for norm in norms]


def _raised(layer: Layer, bound: LayerBound, norm: str) -> LayerBound:
    """The bound with its share more; that of a container follows from those inside, raised too."""
    if bound.method in EXACT_METHODS:
        return bound
    if layer.parts:
        parts = tuple(
            tuple(_raised(*pair, norm) for pair in zip(chain, part, strict=True))
            for chain, part in zip(layer.parts, bound.parts, strict=True)
        )
        bound = layer_bound(layer, norm, parts=parts)
    return replace(bound, value=float(up(bound.value * (1 + INFLATION))))


def lipschitz_bound(network: Network, norm: str, *, body: bool = False) -> LayerwiseBound:
    """Upper bound of the Lipschitz constant from ``norm`` to ``norm``; ``body``: without the head.

    Computed in binary64, rounded upwards. Evidence: proven.
    """
    bounds = issued_bounds(network, norm)
    return product(bounds[: len(split(network).body)] if body else bounds)


def evaluate(
    network: Network,
    inputs: ArrayLike,
    arithmetic: str,
    *,
    norm: str = "l2",
    bounds: list[LayerBound] | None = None,
) -> Evaluation:
    """Logits of ``inputs [N, *input_shape]`` in binary64, and how far they can be off.

    The error covers the distance to the network's value in ``arithmetic``: ``real`` (exact
    weights, exact operations), or binary32/binary64 with sums in any order, fused or not.
    """
    array = check_inputs(network, inputs)
    try:
        logits, errors = output_errors(network, array, norm, resolve_arithmetic(arithmetic), bounds)
    except Unsupported as error:
        raise UsageError(str(error)) from None
    return Evaluation(logits, errors)


def certify_points(
    network: Network,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    norm: str,
    arithmetic: str,
    bounds: list[LayerBound] | None = None,
) -> CertifiedPoints:
    """Radii within which every input keeps its label: ``||x' - x|| <= radius``, in raw units.

    ``inputs`` float ``[N, *input_shape]``, ``labels`` int ``[N]``. ``arithmetic``: ``real``,
    ``binary64`` or ``binary32`` (any summation order, fused or not).
    """
    bounds = issued_bounds(network, norm) if bounds is None else bounds
    return certify_routes(
        network, inputs, labels, norm=norm, arithmetic=arithmetic, routes=[Route(norm, (*bounds,))]
    )[0]


def certify_routes(
    network: Network,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    norm: str,
    arithmetic: str,
    routes: Sequence[Route],
) -> tuple[CertifiedPoints, NDArray[np.int64]]:
    """Those radii by the best of ``routes`` for each point, and that route ``[N]``."""
    array = check_inputs(network, inputs)
    target = np.asarray(labels)
    if target.shape != (len(array),) or not np.issubdtype(target.dtype, np.integer):
        raise UsageError(
            f"labels: expected {len(array)} integers, found {target.dtype} {list(target.shape)}"
        )
    kind, target = resolve_arithmetic(arithmetic), target.astype(np.int64)
    try:
        found, chosen = routed_radii(network, array, target, norm, kind, routes, guard=GUARD)
    except Unsupported as error:
        raise UsageError(str(error)) from None
    constant = float(network_constant(network, routes, norm, Binary64()).value)
    return CertifiedPoints(found.predictions, found.radii, constant, norm, arithmetic), chosen


def certified_accuracy(points: CertifiedPoints, eps: Iterable[float]) -> dict[str, float]:
    """Share of points with a radius of at least each ``eps``; ``{}`` without points."""
    if len(points.radii) == 0:
        return {}
    return {f"{float(value)}": float((points.radii >= value).mean()) for value in eps}


def check_inputs(network: Network, inputs: Any) -> NDArray[np.floating[Any]]:
    """Inputs as float32 or float64 ``[N, *input_shape]``; raises UsageError otherwise."""
    array = np.asarray(inputs)
    if array.dtype not in (np.float32, np.float64):
        raise UsageError(f"inputs: expected float32 or float64, found {array.dtype}")
    if array.shape[1:] != network.input_shape or array.ndim != len(network.input_shape) + 1:
        raise UsageError(
            f"inputs: expected [N, {', '.join(map(str, network.input_shape))}], "
            f"found {list(array.shape)}"
        )
    return array
