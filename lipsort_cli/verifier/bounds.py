"""Proven Lipschitz constants of layers and chains; each layer's comes from its operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from .errors import Invalid
from .graph import Network
from .layer import Layer
from .machine import Binary64
from .operation import LayerBound, of
from .rounding import conversion

__all__ = ["LayerBound", "LayerwiseBound", "Route", "layer_bound", "layer_bounds", "product"]


@dataclass(frozen=True)
class LayerwiseBound:
    """Upper bound ``value`` of a chain's constant: the upward-rounded product of its layers'."""

    value: float
    layers: tuple[LayerBound, ...]


@dataclass(frozen=True)
class Route:
    """A norm in which bounds of all layers were taken, and those bounds."""

    norm: str
    bounds: tuple[LayerBound, ...]

    @classmethod
    def of(cls, network: Network, norm: str) -> Route:
        """The bounds derived here."""
        return cls(norm, tuple(layer_bounds(network, norm)))

    def constant(self, network: Network, norm: str, m: Any) -> Any:
        """The network's constant from ``norm`` to ``norm`` that follows from the bounds."""
        inputs = conversion(m, norm, self.norm, network.inputs)
        outputs = conversion(m, self.norm, norm, network.classes)
        return chain_constant(self.bounds, m) * inputs * outputs


def network_constant(network: Network, routes: Sequence[Route], norm: str, m: Any) -> Any:
    """The best of what the routes say."""
    constants = [route.constant(network, norm, m) for route in routes]
    return reduce(lambda first, second: first.min(second), constants)


def layer_bounds(network: Network, norm: str) -> list[LayerBound]:
    """A bound of every layer in ``norm`` (``l2``, ``linf`` or ``l1``)."""
    return [layer_bound(layer, norm) for layer in network.layers]


def layer_bound(layer: Layer, norm: str, hint: LayerBound | None = None) -> LayerBound:
    """A proven bound of one layer; where there is a choice, method and witness of ``hint`` pick
    the proof, and its ``parts`` are the proven bounds of the layers inside a container.

    Without a hint the tightest is taken. A bad witness costs tightness, never soundness.
    """
    if hint is None:
        parts = tuple(tuple(layer_bound(item, norm) for item in part) for part in layer.parts)
        hint = LayerBound(layer.index, layer.op, 0.0, parts=parts)
    value, method, witness = of(layer).bound(layer, norm, Binary64(), hint)
    return replace(hint, value=float(value.value), method=method, witness=witness)


def product(bounds: Sequence[LayerBound]) -> LayerwiseBound:
    """The bound of a chain of layers."""
    return LayerwiseBound(float(chain_constant(bounds, Binary64()).value), tuple(bounds))


def chain_constant(bounds: Sequence[LayerBound], m: Any) -> Any:
    """The product of bounds, as an upper bound of the machine ``m``."""
    constant = m.upper(1.0)
    for bound in bounds:
        if bound.value != 1.0:
            constant = constant * m.upper(bound.value)
    return constant


def prove_chain(layers: Sequence[Layer], claims: Sequence[LayerBound], norm: str, m: Any) -> None:
    """Prove every claim on an exact machine. Raises Invalid at the first that is not proven."""
    for layer, claim in zip(layers, claims, strict=True):
        for part, inner in zip(layer.parts, claim.parts, strict=True):
            prove_chain(part, inner, norm, m)
        proven = of(layer).bound(layer, norm, m, claim)[0] <= m.upper(claim.value)
        if not proven:
            raise Invalid(f"{layer.place}.bound", "is not proven in exact arithmetic")
