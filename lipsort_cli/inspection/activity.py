"""What activations do at sample points: active units, swapped pairs, saturation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.inspection.operators import run_once
from lipsort_cli.layers import AbsoluteValue, FullSort, GroupSort, Maxout


@dataclass(frozen=True)
class Activity:
    """One activation over the sample.

    ``share`` of what ``measure`` names, over units and points; ``linear``: share of units that do
    the same at every point, so that the activation bends nothing there; ``dead``: share of units
    that are off at every point (None where nothing can be off); ``frequent``: share of units that
    are on at 80 % of the points or more.
    """

    name: str
    type: str
    measure: str
    share: float
    linear: float
    dead: float | None = None
    frequent: float = 0.0


def _units(x: Tensor) -> Tensor:
    """[N, features, positions]: the feature axis of a vector is its last, of an image its first."""
    return x.flatten(2) if x.dim() > 2 else x[:, :, None]


def _neighbours(x: Tensor, group: int) -> Tensor:
    """Whether x_i > x_{i+1} for the neighbours within each group, [N, pairs, positions]."""
    units = _units(x).unflatten(1, (-1, group))
    return (units[:, :, :-1] > units[:, :, 1:]).flatten(1, 2)


def _winners(x: Tensor, group: int) -> Tensor:
    """Which unit of each group is the largest, 0 being the first, [N, groups, positions]."""
    return _units(x).unflatten(1, (-1, group)).argmax(2)


def _saturated(slope: Tensor, largest: float) -> Tensor:
    return _units(slope < 0.1 * largest)


SWAPPED = "neighbouring pairs swapped"
ACTIVE = "units above zero"
FOLDED = "units folded"
SATURATED = "units saturated (slope below a tenth of the largest)"
SWITCHED = "groups won by another than their first unit"

_Measure = tuple[str, Callable[[Any, Tensor], Tensor]]
_MEASURES: dict[type[nn.Module], _Measure] = {
    FullSort: (SWAPPED, lambda layer, x: _neighbours(x, x.shape[1])),
    GroupSort: (SWAPPED, lambda layer, x: _neighbours(x, layer.group_size)),
    Maxout: (SWITCHED, lambda layer, x: _winners(x, layer.group_size)),
    AbsoluteValue: (FOLDED, lambda layer, x: _units(x < 0)),
    nn.ReLU: (ACTIVE, lambda layer, x: _units(x > 0)),
    nn.LeakyReLU: (ACTIVE, lambda layer, x: _units(x > 0)),
    nn.Tanh: (SATURATED, lambda layer, x: _saturated(1 - x.tanh() ** 2, 1.0)),
    nn.Sigmoid: (SATURATED, lambda layer, x: _saturated(x.sigmoid() * (1 - x.sigmoid()), 0.25)),
}


def _measure(layer: nn.Module) -> _Measure | None:
    for kind, measure in _MEASURES.items():
        if isinstance(layer, kind):
            return measure
    return None


@torch.no_grad()
def activities(network: nn.Module, inputs: Tensor) -> list[Activity]:
    """Every known activation of ``network``, in the order in which it is run on ``inputs``.

    Whatever contains the activations is passed through by hooks; those of a kind that has no
    measure are left out. The network is run in evaluation mode, and left in its own.
    """
    found: list[Activity] = []

    def look(name: str, layer: nn.Module, x: Tensor) -> None:
        measure = _measure(layer)
        assert measure is not None
        states = measure[1](layer, x).flatten(1)
        on = states > 0
        off = isinstance(layer, nn.ReLU)
        found.append(
            Activity(
                name,
                type(layer).__name__,
                measure[0],
                float(on.float().mean()),
                float((states == states[:1]).all(0).float().mean()),
                float((~on.any(0)).float().mean()) if off else None,
                float((on.float().mean(0) >= 0.8).float().mean()),
            )
        )

    handles = [
        module.register_forward_pre_hook(lambda m, args, name=name: look(name, m, args[0]))
        for name, module in network.named_modules()
        if _measure(module) is not None
    ]
    run_once(network, inputs, handles)
    return found
