"""Lipschitz constants of layers, chains and networks: claims, and their proofs (T1, T1m, T2); and
points carried through a chain, with a proven bound of rounding errors at and near each (T4).
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import pairwise
from operator import mul
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import require
from .graph import Network
from .linear import Linear, mixed_norm
from .operation import Layer, LayerBound, of
from .rounding import Arithmetic, conversion
from .state import State

MIXED = "norms of rows or columns"  # how the constant of a layer from one norm to another is proven
WITNESSED = ("residual", "cholesky", "frequencies")  # methods whose proofs start from a witness
CHUNK = 1024
STATE = 1 << 22  # components of a layer's outputs over all points of a chunk, about (32 MiB)


class Route(NamedTuple):
    """A norm in which bounds of all layers were taken, and those bounds; with ``inputs`` in another
    norm, the first dense layer leads from that to ``norm``.
    """

    norm: str
    bounds: tuple[LayerBound, ...]
    inputs: str

    @property
    def name(self) -> str:
        """``l2``, or ``l1-l2`` with inputs in another norm."""
        return self.norm if self.inputs == self.norm else f"{self.inputs}-{self.norm}"

    def constant(self, network: Network, norm: str, m: Any) -> Any:
        """The network's constant from ``norm`` to ``norm`` that follows from the bounds."""
        inputs = conversion(m, norm, self.inputs, network.inputs)
        outputs = conversion(m, self.norm, norm, network.classes)
        return chain_constant(self.bounds, m) * inputs * outputs


def layer_norms(layers: Sequence[Layer], inputs: str, norm: str) -> list[tuple[str, str]]:
    """The norms before and after each layer of a chain: they change at its first dense layer."""
    found = [inputs]
    for layer in layers:
        found.append(norm if layer.op == "dense" else found[-1])
    return list(pairwise(found))


def chain_constant(bounds: Sequence[LayerBound], m: Any) -> Any:
    """The product of bounds, as an upper bound of the machine ``m``."""
    factors = [m.upper(bound.value) for bound in bounds if bound.value != 1.0]
    return reduce(mul, factors, m.upper(1.0))


def network_constant(network: Network, routes: Sequence[Route], norm: str, m: Any) -> Any:
    """The best of what the routes say."""
    constants = [route.constant(network, norm, m) for route in routes]
    return reduce(lambda first, second: first.min(second), constants)


def proven(layer: Layer, claim: LayerBound, norms: tuple[str, str], m: Any, where: str) -> Any:
    """The constant between the norms before and after ``layer`` by the proof that a claim names."""
    before, after = norms
    crossing = before != after
    reason = f"only a dense layer leads from {before} to {after}"
    require(not crossing or layer.op == "dense", where, reason)
    known = (MIXED,) if crossing else of(layer).proofs(after)
    right = claim.method in known and (not claim.witness or claim.method in WITNESSED)
    reason = f"{claim.method!r} from {claim.witness!r} proves nothing; known: {known}"
    require(right, f"{where}.method", reason)
    if crossing:
        return mixed_norm(m, m.array(layer.matrix), before, after)
    return of(layer).bound(layer, after, m, claim)


def prove_chain(
    layers: Sequence[Layer],
    claims: Sequence[LayerBound],
    norm: str,
    m: Any,
    inputs: str = "",
    where: str = "layers",
) -> None:
    """Prove every claim on the machine ``m``. Raises Invalid at the first that is not proven."""
    pairs = layer_norms(layers, inputs or norm, norm)
    require(len(claims) == len(layers), where, f"{len(claims)} entries for {len(layers)} layers")
    for layer, claim, norms in zip(layers, claims, pairs, strict=True):
        at = f"{where}[{layer.index}]"
        same = claim.index == layer.index and claim.op == layer.op
        require(same, at, f"layer {layer.index} of the network is {layer.op}")
        reason = f"{len(claim.parts)} entries for {len(layer.parts)}"
        require(len(claim.parts) == len(layer.parts), f"{at}.parts", reason)
        for place, (part, inner) in enumerate(zip(layer.parts, claim.parts, strict=True)):
            prove_chain(part, inner, norms[1], m, where=f"{at}.parts[{place}]")
        bound = proven(layer, claim, norms, m, at)
        reason = f"claims {claim.value!r}, proven is {bound}"
        require(bound <= m.upper(claim.value), f"{at}.bound", reason)


def carry(
    state: State, layers: Sequence[Layer], bounds: Sequence[LayerBound], norm: str = ""
) -> None:
    """Carry ``state`` through a chain; its norm changes to ``norm`` at the first dense layer."""
    pairs = layer_norms(layers, state.norm, norm or state.norm)
    for layer, bound, (before, after) in zip(layers, bounds, pairs, strict=True):
        if before != after:
            Linear.of(layer, state.arithmetic, state.m).step(layer, state, bound.value, after)
        else:
            of(layer).step(layer, state, bound)


def chunk_size(network: Network, bulk: int) -> int:
    """How many points are carried at a time, numbers taking ``bulk`` times a float's memory."""
    widest = max(*map(len, network.tensors().values()), *(one.width for one in network.walk()), 1)
    return min(CHUNK, max(1, STATE // widest)) // bulk or 1


def sweep(
    network: Network,
    layers: Sequence[Layer],
    route: Route,
    inputs: NDArray[np.floating[Any]],
    arithmetic: Arithmetic,
    m: Any,
) -> Iterator[tuple[slice, State]]:
    """Carry ``inputs [N, ...]`` through the first ``layers`` of ``network``, some at a time."""
    flat = inputs.reshape(len(inputs), network.inputs)
    size = chunk_size(network, m.bulk)  # changes memory, and results by rounding
    for start in range(0, len(flat), size):
        part = slice(start, min(start + size, len(flat)))
        state = State.at(m, flat[part], route.inputs, arithmetic)
        with np.errstate(all="ignore"):
            carry(state, layers, route.bounds[: len(layers)], route.norm)
        reason = f"no dense layer leads from {route.inputs} to {route.norm}"
        require(state.norm == route.norm, "routes", reason)
        yield part, state
