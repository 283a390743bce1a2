"""Proven Lipschitz constants of layers and chains; each layer's comes from its operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from .errors import Invalid
from .graph import Network
from .layer import Layer
from .linear import mixed_norm
from .machine import Binary64
from .operation import LayerBound, of
from .rounding import conversion

__all__ = ["LayerBound", "LayerwiseBound", "Route", "layer_bound", "layer_bounds", "product"]

MIXED = "norms of rows or columns"
"""How the constant of a layer from one norm to another is proven."""


@dataclass(frozen=True)
class LayerwiseBound:
    """Upper bound ``value`` of a chain's constant: the upward-rounded product of its layers'."""

    value: float
    layers: tuple[LayerBound, ...]


@dataclass(frozen=True)
class Route:
    """A norm in which bounds of all layers were taken, and those bounds.

    Inputs may be measured in another norm, ``inputs``: the first dense layer then leads from that
    to ``norm``, and layers before it have bounds in ``inputs``.
    """

    norm: str
    bounds: tuple[LayerBound, ...]
    inputs: str

    @classmethod
    def of(cls, network: Network, norm: str, inputs: str = "") -> Route:
        """The bounds derived here."""
        pairs = layer_norms(network.layers, inputs or norm, norm)
        bounds = (
            layer_bound(layer, after, entry=before)
            for layer, (before, after) in zip(network.layers, pairs, strict=True)
        )
        return cls(norm, tuple(bounds), inputs or norm)

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


def network_constant(network: Network, routes: Sequence[Route], norm: str, m: Any) -> Any:
    """The best of what the routes say."""
    constants = [route.constant(network, norm, m) for route in routes]
    return reduce(lambda first, second: first.min(second), constants)


def layer_bounds(network: Network, norm: str) -> list[LayerBound]:
    """A bound of every layer in ``norm`` (``l2``, ``linf`` or ``l1``)."""
    return [layer_bound(layer, norm) for layer in network.layers]


def layer_bound(
    layer: Layer, norm: str, hint: LayerBound | None = None, entry: str = ""
) -> LayerBound:
    """A proven bound of one layer from ``entry`` (without: ``norm``) to ``norm``.

    Where there is a choice, method and witness of ``hint`` pick the proof, and its ``parts`` are
    the proven bounds of the layers inside a container. Without a hint the tightest is taken. A bad
    witness costs tightness, never soundness.
    """
    if hint is None:
        parts = tuple(tuple(layer_bound(item, norm) for item in part) for part in layer.parts)
        hint = LayerBound(layer.index, layer.op, 0.0, parts=parts)
    if entry and entry != norm:
        crossed = float(_crossed(layer, entry, norm, Binary64()).value)
        return replace(hint, value=crossed, method=MIXED, witness=0.0)
    value, method, witness = of(layer).bound(layer, norm, Binary64(), hint)
    return replace(hint, value=float(value.value), method=method, witness=witness)


def _crossed(layer: Layer, entry: str, norm: str, m: Any) -> Any:
    """The constant of a dense layer from one norm to another."""
    if layer.op != "dense":
        raise Invalid(layer.place, f"only a dense layer leads from {entry} to {norm}")
    return mixed_norm(m, m.array(layer.weight), entry, norm)


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


def prove_chain(
    layers: Sequence[Layer], claims: Sequence[LayerBound], norm: str, m: Any, inputs: str = ""
) -> None:
    """Prove every claim on an exact machine. Raises Invalid at the first that is not proven."""
    pairs = layer_norms(layers, inputs or norm, norm)
    for layer, claim, (before, after) in zip(layers, claims, pairs, strict=True):
        for part, inner in zip(layer.parts, claim.parts, strict=True):
            prove_chain(part, inner, after, m)
        if before == after:
            bound = of(layer).bound(layer, after, m, claim)[0]
        else:
            bound = _crossed(layer, before, after, m)
        proven = bound <= m.upper(claim.value)
        if not proven:
            raise Invalid(f"{layer.place}.bound", "is not proven in exact arithmetic")
