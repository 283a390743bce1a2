"""Certified radii of points, in process: what `lipsort train` and `lipsort certify` call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipsort_cli.certificates.reach import Radii, certified_radii
from lipsort_cli.certificates.search import find_bound, find_bounds, find_route
from lipsort_cli.config.certificates import REFUSED_ARITHMETICS
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.verifier.bounds import (
    Route,
    chain_constant,
    layer_norms,
    network_constant,
    sweep,
)
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.graph import Network, parse_network
from lipsort_cli.verifier.operation import Layer, LayerBound
from lipsort_cli.verifier.radii import Head, split
from lipsort_cli.verifier.rounding import (
    ARITHMETICS,
    NORMS,
    Arithmetic,
    Binary64,
    conversion,
    gradual_underflow,
    up,
)
from lipsort_cli.verifier.tensors import read_bytes

INFLATION = 2.0**-32
"""Issued layer bounds are raised by this share, so that another machine's sums confirm them."""
EXACT_METHODS = ("1-Lipschitz", "factor", "slope", "1/4", "zero")
"""Bounds that are exact numbers, the same on every machine."""
GUARD = 4.0
"""Issued radii allow for this multiple of binary64's own error, for the same reason."""


class EvaluatedLogits(NamedTuple):
    """``logits`` float64 ``[N, C]``; every logit is within ``error`` ``[N]`` of the true one."""

    logits: NDArray[np.float64]
    error: NDArray[np.float64]


class LayerwiseBound(NamedTuple):
    """Upper bound ``value`` of a network's constant, and the bounds of its ``layers``."""

    value: float
    layers: tuple[LayerBound, ...]


class CertifiedPoints(NamedTuple):
    """``predictions`` int64 ``[N]``; ``radii`` float64 ``[N]``, 0.0 where nothing is certified.

    ``lipschitz`` bounds the whole network's constant. ``via`` names the routes: norms in which the
    layers' constants were taken (``l1-l2``: the first dense layer's from L1 to L2), ``route``
    ``[N]`` says which of them proves each radius. Evidence: proven. ``logits`` float64 ``[N, C]``
    are those of binary64 (empirical).
    """

    predictions: NDArray[np.int64]
    radii: NDArray[np.float64]
    lipschitz: float
    norm: str
    arithmetic: str
    via: tuple[str, ...]
    route: NDArray[np.int64]
    logits: NDArray[np.float64]

    def entry(self, shares: dict[str, float]) -> dict[str, Any]:
        """The certified ``shares`` of points, by radius, as ``results.json`` holds them."""
        return {
            "norm": self.norm,
            "eps": shares,
            "evidence": "proven",
            "arithmetic": self.arithmetic,
            "points": len(self.radii),
            "routes": self.shares(),
        }

    def shares(self) -> dict[str, float]:
        """The share of certified points that each route proves; only routes that prove any."""
        places = self.route[self.radii > 0]
        shares = {
            norm: float((places == place).mean()) if len(places) else 0.0
            for place, norm in enumerate(self.via)
        }
        return {norm: share for norm, share in shares.items() if share}


def load_network(file: str | Path | bytes) -> Network:
    """Read and check ``model.safetensors``, its path or content.

    Raises LipsortError when it is no sound network.
    """
    try:
        return parse_network(file if isinstance(file, bytes) else read_bytes(Path(file), "network"))
    except (Invalid, Unsupported) as error:
        name = "network" if isinstance(file, bytes) else file
        raise LipsortError(f"{name}: {error}") from None


def provable_arithmetic(network: Network, wanted: str = "binary32") -> str:
    """``wanted``, or ``real`` where no bound of the network's rounding is known: tanh, sigmoid."""
    return "real" if network.smooth() else wanted


def resolve_arithmetic(name: str) -> Arithmetic:
    """The arithmetic called ``name``; raises UsageError with the reason for those refused."""
    if name not in ARITHMETICS:
        reason = REFUSED_ARITHMETICS.get(name)
        raise UsageError(
            f"arithmetic: found {name!r}; allowed: {', '.join(ARITHMETICS)}"
            + (f" ({reason})" if reason else "")
        )
    return ARITHMETICS[name]


def check_norm(norm: str) -> None:
    """Raises UsageError for a norm that there is not."""
    if norm not in NORMS:
        raise UsageError(f"norm: found {norm!r}; allowed: {', '.join(NORMS)}")


def issued_bounds(network: Network, norm: str) -> list[LayerBound]:
    """Proven layer bounds with room for another machine's rounding."""
    check_norm(norm)
    if not gradual_underflow():
        raise LipsortError(
            "this process flushes subnormal numbers to zero, which the bounds do not allow; "
            "start a new process without torch.set_flush_denormal(True)"
        )
    pairs = zip(network.layers, find_bounds(network, norm), strict=True)
    return [_raised(layer, bound, norm) for layer, bound in pairs]


def issued_routes(network: Network) -> list[Route]:
    """Those bounds in every norm; and mixed routes, from each norm to another.

    Of a mixed norm, such as that of the first dense layer from L1 to L2, a route is made where it
    gives a smaller constant than changing the norm of the inputs does. Claims in all norms have the
    same routes, so that none is below what another claim implies.
    """
    plain = {norm: Route(norm, tuple(issued_bounds(network, norm)), norm) for norm in NORMS}
    routes = list(plain.values())
    if not any(layer.op == "dense" for layer in split(network).body):
        return routes
    for inputs, norm in permutations(NORMS, 2):
        bounds = []
        pairs = layer_norms(network.layers, inputs, norm)
        for place, (layer, (before, after)) in enumerate(zip(network.layers, pairs, strict=True)):
            if before == after:
                bounds.append(plain[after].bounds[place])
            else:
                found = find_bound(layer, after, before)
                bounds.append(replace(found, value=float(up(found.value * (1 + INFLATION)))))
        route = Route(norm, tuple(bounds), inputs)
        if route_constant(network, route, inputs) < route_constant(network, plain[norm], inputs):
            routes.append(route)
    return routes


def _raised(layer: Layer, bound: LayerBound, norm: str) -> LayerBound:
    """The bound with its share more; that of a container follows from those inside, raised too."""
    if bound.method in EXACT_METHODS:
        return bound
    if layer.parts:
        parts = [
            [_raised(*pair, norm) for pair in zip(chain, part, strict=True)]
            for chain, part in zip(layer.parts, bound.parts, strict=True)
        ]
        bound = find_bound(layer, norm, parts=parts)
    return replace(bound, value=float(up(bound.value * (1 + INFLATION))))


def route_constant(network: Network, route: Route, norm: str) -> float:
    """Upper bound of the network's constant from ``norm`` to ``norm`` by one route."""
    return float(route.constant(network, norm, Binary64()).value)


def best_route(network: Network, norm: str, routes: Sequence[Route] | None = None) -> Route:
    """The route that gives the least constant of the network in ``norm``; its own among equals."""
    check_norm(norm)
    found = issued_routes(network) if routes is None else routes
    return min(found, key=lambda route: (route_constant(network, route, norm), route.name != norm))


def lipschitz_bound(network: Network, norm: str) -> LayerwiseBound:
    """Upper bound of the Lipschitz constant from ``norm`` to ``norm``, by the best route.

    ``layers`` are the bounds of the layers, in the route's norm. Computed in binary64, rounded
    upwards. Evidence: proven.
    """
    route = best_route(network, norm)
    return LayerwiseBound(route_constant(network, route, norm), route.bounds)


def evaluate(
    network: Network,
    inputs: ArrayLike,
    arithmetic: str,
    *,
    norm: str = "l2",
    bounds: Sequence[LayerBound] | None = None,
) -> EvaluatedLogits:
    """Logits of ``inputs [N, *input_shape]`` in binary64, and how far they can be off.

    The error covers the distance to the network's value in ``arithmetic``: ``real`` (exact
    weights, exact operations), or binary32/binary64 with sums in any order, fused or not.
    """
    array = check_inputs(network, inputs)
    try:
        known = find_route(network, norm) if bounds is None else Route(norm, tuple(bounds), norm)
        logits, errors = output_errors(network, array, resolve_arithmetic(arithmetic), known)
    except Unsupported as error:
        raise UsageError(str(error)) from None
    return EvaluatedLogits(logits, errors)


def output_errors(
    network: Network, inputs: NDArray[np.floating], arithmetic: Arithmetic, route: Route
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Binary64 logits ``[N, C]`` and, for each point ``[N]``, a bound of every logit's distance
    between them and what ``arithmetic`` (``real``: exact arithmetic) gives; infinite when unknown.
    """
    logits, errors = np.zeros((len(inputs), network.classes)), np.zeros(len(inputs))
    for part, state in sweep(network, network.layers, route, inputs, arithmetic, Binary64()):
        logits[part] = state.values
        bound = (state.own + state.d0).value
        sound = state.fits(np.zeros(len(bound))) & ~np.isnan(bound)
        sound &= np.isfinite(inputs[part].reshape(len(bound), -1)).all(axis=1)
        errors[part] = np.where(sound, bound, np.inf)
    return logits, errors


def certify_points(
    network: Network,
    inputs: ArrayLike,
    labels: ArrayLike | None,
    *,
    norm: str,
    arithmetic: str,
    routes: Sequence[Route] | None = None,
) -> CertifiedPoints:
    """Radii within which every input keeps its label: ``||x' - x|| <= radius``, in raw units.

    ``inputs`` float ``[N, *input_shape]``, ``labels`` int ``[N]``; None: each input's own
    prediction is its label. ``arithmetic``: ``real``,
    ``binary64`` or ``binary32`` (any summation order, fused or not). ``routes``: the norms in which
    bounds of the layers are taken, with these bounds; all norms by default. A ball in ``norm`` lies
    in a ball of a route's norm, and each point has the radius of the best route for it.
    """
    array = check_inputs(network, inputs)
    target = None if labels is None else check_labels(labels, len(array))
    check_norm(norm)
    routes = issued_routes(network) if routes is None else routes
    kind = resolve_arithmetic(arithmetic)
    try:
        found, chosen = _best(network, array, target, norm, kind, routes)
    except Unsupported as error:
        raise UsageError(str(error)) from None
    constant = float(network_constant(network, routes, norm, Binary64()).value)
    return CertifiedPoints(
        found.predictions,
        found.radii,
        constant,
        norm,
        arithmetic,
        tuple(route.name for route in routes),
        chosen,
        found.logits * np.prod(split(network).tail),
    )


def _best(
    network: Network,
    inputs: NDArray[np.floating[Any]],
    labels: NDArray[np.int64] | None,
    norm: str,
    arithmetic: Arithmetic,
    routes: Sequence[Route],
) -> tuple[Radii, NDArray[np.int64]]:
    """Predictions, radii and logits, and the route of each point ``[N]``.

    The most promising route judges every point. What it finds of the logits says how far another
    could reach at best, without any rounding; that one judges only points for which this is more.
    """
    slopes = [_slopes(network, route, norm) for route in routes]
    order = sorted(range(len(routes)), key=lambda place: float(slopes[place].mean()))

    def judge(rows: Any, place: int) -> Radii:
        own = None if labels is None else labels[rows]
        route = routes[place]
        return certified_radii(network, inputs[rows], own, norm, arithmetic, route, GUARD)

    chosen, first = np.full(len(inputs), order[0]), judge(slice(None), order[0])
    predictions, radii = first.predictions, first.radii
    labels = predictions if labels is None else labels
    known = (labels >= 0) & (labels < network.classes)
    own = np.where(known, labels, 0)
    row = np.arange(len(inputs))
    with np.errstate(invalid="ignore"):  # of logits that overflowed
        leads = first.logits[row, own][:, None] - first.logits
    leads[row, own] = np.inf
    for place in order[1:]:
        with np.errstate(all="ignore"):
            reach = (leads / slopes[place][own]).min(axis=1) * (1 + 2.0**-30)
        rows = np.flatnonzero(known & (predictions == labels) & ~(reach <= radii))
        if not len(rows):
            continue
        made = judge(rows, place)
        better = rows[made.radii > radii[rows]]
        radii[better], chosen[better] = made.radii[made.radii > radii[rows]], place
    return first, chosen


def _slopes(network: Network, route: Route, norm: str) -> NDArray[np.float64]:
    """About how fast differences of logits ``[C, C]`` can change with the input, in ``norm``."""
    parts, m = split(network), Binary64()
    head = Head.of(parts, network.classes, route.norm, ARITHMETICS["real"], m)
    body = chain_constant(route.bounds[: len(parts.body)], m)
    return (head.pairs * body * conversion(m, norm, route.inputs, network.inputs)).value


def certified_accuracy(points: CertifiedPoints, eps: Iterable[float]) -> dict[str, float]:
    """Share of points with a radius of at least each ``eps``; ``{}`` without points."""
    if len(points.radii) == 0:
        return {}
    return {f"{float(value)}": float((points.radii >= value).mean()) for value in eps}


def require_classifier(network: Network) -> None:
    """Raises UsageError for a network of one output, which has no classes."""
    if network.classes < 2:
        raise UsageError("network: found one output; allowed: two or more, as classifiers have")


def check_labels(labels: Any, count: int, classes: int | None = None) -> NDArray[np.int64]:
    """Labels as int64 ``[count]``, of so many classes; raises UsageError otherwise."""
    target = np.asarray(labels)
    if target.shape != (count,) or not np.issubdtype(target.dtype, np.integer):
        raise UsageError(
            f"labels: found {target.dtype} {list(target.shape)}; allowed: whole numbers [{count}]"
        )
    wrong = target[(target < 0) | (target >= (classes or np.inf))]
    if classes and len(wrong):
        raise UsageError(f"labels: found {wrong[0]}; allowed: 0 to {classes - 1}")
    return target.astype(np.int64)


def check_inputs(network: Network, inputs: Any) -> NDArray[np.floating[Any]]:
    """Inputs as float32 or float64 ``[N, *input_shape]``; raises UsageError otherwise."""
    array = np.asarray(inputs)
    if array.dtype not in (np.float32, np.float64):
        raise UsageError(f"inputs: found {array.dtype}; allowed: float32, float64")
    if array.shape[1:] != network.input_shape or array.ndim != len(network.input_shape) + 1:
        raise UsageError(
            f"inputs: found shape {list(array.shape)}; allowed: "
            f"[N, {', '.join(map(str, network.input_shape))}]"
        )
    return array
