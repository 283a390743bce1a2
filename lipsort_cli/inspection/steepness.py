"""How steep a network was found to be, layer by layer, beside how steep it is proven to be at most.

At a point the Jacobian's norm is a product over depths: with s_d that of the outputs with respect
to the state at depth d, layer by layer ``s_d / s_(d+1)`` is what the point uses of the layer's
constant. Constant over use, multiplied over the layers, is the bound over what was found: where a
layer's is large, the bound is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.arithmetic import certified_arithmetic
from lipsort_cli.directed_text import at_least, at_most
from lipsort_cli.inspection.jacobian import SHAPE_ONLY, jacobians
from lipsort_cli.layers.constraints.polynomials import gram
from lipsort_cli.norms import NAMES

STARTS, ROUNDS = 4, 3
_STEPS = (-2.0, -0.5, 0.5, 2.0)
"""Along the steepest direction, in deviations of the inputs times the root of their number."""
_CHUNK = 8


@dataclass(frozen=True)
class Steepness:
    """``found``: the largest norm of a Jacobian met; ``used[k]`` of it by ``layers[k]``, at the
    point where it was met: the positions of one layer and of those of shape only behind it."""

    norm: str
    found: float
    layers: list[list[int]]
    used: list[float]


@certified_arithmetic()
def steepness(network: nn.Sequential, inputs: Tensor, norm: str) -> Steepness:
    """Search from ``inputs`` [N, ...]: from the steepest ones along the steepest directions.

    Empirical: computed in floating point; a lower bound of the constant up to its roundings.
    """
    layers = list(network)
    places = [0, *(k + 1 for k, one in enumerate(layers[:-1]) if not isinstance(one, SHAPE_ONLY))]
    spread = float(inputs.std()) * math.sqrt(inputs[0].numel()) / 4 if len(inputs) > 1 else 1.0
    best, chosen = _sizes(network, inputs, norm)
    points, directions = inputs[chosen], _directions(network, inputs[chosen], norm)
    for _ in range(ROUNDS):
        tried = torch.cat([points + step * spread * directions for step in _STEPS])
        found, chosen = _sizes(network, tried, norm)
        if found[0, 0] <= best[0, 0]:
            break
        best, points = found, tried[chosen]
        directions = _directions(network, points, norm)
    sizes = [*best[0].tolist(), 1.0]
    ends = [*places[1:], len(network)]
    positions = [list(range(start, end)) for start, end in zip(places, ends, strict=True)]
    used = [a / b if b > 0 else 0.0 for a, b in pairwise(sizes)]
    return Steepness(norm, sizes[0], positions, used)


def _sizes(network: nn.Sequential, points: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Norms of the Jacobians at every depth of the steepest points, and which points these are."""
    rows = []
    for part in points.split(_CHUNK):
        found = jacobians(network, part).jacobians
        rows.append(torch.stack([_norm(jacobian.double(), norm) for jacobian in found], 1))
    sizes = torch.cat(rows).nan_to_num(0.0, 0.0)
    order = sizes[:, 0].argsort(descending=True, stable=True)[:STARTS]
    return sizes[order], order


def _norm(matrices: Tensor, norm: str) -> Tensor:
    """Operator norms [N] of [N, C, n]."""
    if norm == "l2":
        return torch.linalg.eigvalsh(gram(matrices))[:, -1].clamp_min(0).sqrt()
    return matrices.abs().sum(2 if norm == "linf" else 1).amax(1)


def _directions(network: nn.Sequential, points: Tensor, norm: str) -> Tensor:
    """Of length 1 in L2, the ones along which outputs change most."""
    jacobian = jacobians(network, points).jacobians[0].double()
    if norm == "l2":
        _, vectors = torch.linalg.eigh(jacobian @ jacobian.mT)
        found = (jacobian.mT @ vectors[:, :, -1:])[..., 0]
    elif norm == "linf":
        row = jacobian.abs().sum(2).argmax(1)
        found = jacobian[torch.arange(len(points)), row].sign()
    else:
        found = torch.nn.functional.one_hot(jacobian.abs().sum(1).argmax(1), jacobian.shape[2])
    lengths = torch.linalg.vector_norm(found.double(), dim=1, keepdim=True)
    return (found / lengths.clamp_min(1e-30)).to(points.dtype).reshape(points.shape)


def entry(
    found: Steepness, proven: float, bounds: Sequence[float], operations: Sequence[str]
) -> dict[str, Any]:
    """Of ``inspect.json``: ``proven`` for the network, ``bounds`` and ``operations`` by layer."""
    by_layer: list[dict[str, Any]] = []
    for positions, used in zip(found.layers, found.used, strict=True):
        bound = math.prod(bounds[k] for k in positions)
        names = [operations[k] for k in positions]
        by_layer.append({"layer": positions[0], "operations": names, "proven": bound, "used": used})
    lost = [one for one in by_layer if one["used"] > 0 and one["proven"] / one["used"] > 1.05]
    lost.sort(key=lambda one: one["used"] / one["proven"])
    where = "; ".join(
        f"layer {one['layer']} ({one['operations'][0]}), at most {at_most(one['proven'], 3)} and "
        f"{one['used']:.3g} used"
        for one in lost[:3]
    )
    return {
        "norm": found.norm,
        "at_least": {"value": found.found, "evidence": "empirical", "method": "search"},
        "at_most": {"value": proven, "evidence": "proven"},
        "by_layer": by_layer,
        "interpretation": (
            f"Lipschitz constant in {NAMES[found.norm]}: at least {at_least(found.found, 4)} "
            f"(found by search, empirical), at most {at_most(proven, 6)} (proven). "
            + (f"The bound loses most at {where}." if where else "No layer loses any of it.")
        ),
    }
