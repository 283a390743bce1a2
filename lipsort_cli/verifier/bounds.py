"""Lipschitz constants of layers, chains and networks: claims, and their proofs (T1, T1m, T2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from .errors import Invalid
from .graph import Network
from .layer import Layer, LayerBound
from .linear import mixed_norm
from .operation import of
from .rounding import conversion

MIXED = "norms of rows or columns"
"""How the constant of a layer from one norm to another is proven."""
WITNESSED = ("residual", "cholesky", "frequencies")
"""Methods whose proofs start from a witness."""


@dataclass(frozen=True)
class Route:
    """A norm in which bounds of all layers were taken, and those bounds.

    Inputs may be measured in another norm, ``inputs``: the first dense layer then leads from that
    to ``norm``, and layers before it have bounds in ``inputs``.
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
    found, now = [], inputs
    for layer in layers:
        after = norm if layer.op == "dense" else now
        found.append((now, after))
        now = after
    return found


def chain_constant(bounds: Sequence[LayerBound], m: Any) -> Any:
    """The product of bounds, as an upper bound of the machine ``m``."""
    constant = m.upper(1.0)
    for bound in bounds:
        if bound.value != 1.0:
            constant = constant * m.upper(bound.value)
    return constant


def network_constant(network: Network, routes: Sequence[Route], norm: str, m: Any) -> Any:
    """The best of what the routes say."""
    constants = [route.constant(network, norm, m) for route in routes]
    return reduce(lambda first, second: first.min(second), constants)


def proven(layer: Layer, claim: LayerBound, norms: tuple[str, str], m: Any, where: str) -> Any:
    """The constant between the norms before and after ``layer`` by the proof that a claim names.

    Raises Invalid for a proof that there is not; ``where`` the claim stands.
    """
    before, after = norms
    crossing = before != after
    if crossing and layer.op != "dense":
        raise Invalid(where, f"only a dense layer leads from {before} to {after}")
    known = (MIXED,) if crossing else of(layer).proofs(after)
    if claim.method not in known or (claim.witness and claim.method not in WITNESSED):
        reason = f"{claim.method!r} from {claim.witness!r} proves nothing; known: {known}"
        raise Invalid(f"{where}.method", reason)
    if crossing:
        return mixed_norm(m, m.array(layer.weight), before, after)
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
    for layer, claim, norms in zip(layers, claims, pairs, strict=True):
        at = f"{where}[{layer.index}]"
        for place, (part, inner) in enumerate(zip(layer.parts, claim.parts, strict=True)):
            prove_chain(part, inner, norms[1], m, where=f"{at}.parts[{place}]")
        bound = proven(layer, claim, norms, m, at)
        if not bound <= m.upper(claim.value):
            raise Invalid(f"{at}.bound", f"claims {claim.value!r}, proven is {bound}")
