"""Critics: networks of one output that are 1-Lipschitz in the ground metric.

W1(P, Q) = sup { E_P f - E_Q f : |f(x) - f(y)| <= ||x - y|| } (Kantorovich and Rubinstein). The
critic's gradient is bounded in the dual norm: L2 for L2, L1 for an L-infinity ground metric, and
L-infinity for an L1 ground metric. Every layer is 1-Lipschitz from the ground norm to itself:
orthonormal weights for L2, absolute row sums at most 1 for L-infinity, column sums for L1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lipsort_cli.arithmetic import certified_arithmetic
from lipsort_cli.config.models import ImageModel
from lipsort_cli.config.train import LipschitzNetwork
from lipsort_cli.layers import Dense, Normalize, lipschitz_constant
from lipsort_cli.layers.base import evaluating
from lipsort_cli.layers.constraints import RowsL2
from lipsort_cli.zoo import Network, build_network, network_graph


def power_of_two(size: float) -> float:
    """The one nearest to ``size``, within 2^-60 and 2^60; 1 where there is no size."""
    found = 2.0 ** round(math.log2(size)) if 0 < size < math.inf else 1.0
    return min(max(found, 2.0**-60), 2.0**60)


def build_critic(
    groups: LipschitzNetwork,
    *,
    norm: str,
    centre: NDArray[np.float64],
    spread: float,
    shape: Sequence[int] | None = None,
    centred: bool = True,
    channel_means: Sequence[float] | None = None,
) -> Network:
    """A critic on points [N, d] in their own units, whatever these are; images [N, *shape] for a
    convolutional model.

    ``centre`` [d] is taken off first: a mean that all points share would otherwise be most of what
    the first weight sees, and turning that weight would move all features alike. With ``centred``
    false only the first bias starts so that ``centre`` is at the origin. Where points are
    not of size about 1, they are divided by a power of two s near ``spread`` and the output is
    multiplied by it: both exact, and the constant stays 1. The model's ``lipschitz`` scales the
    whole. Of images ``channel_means`` are taken off, where they are given.
    """
    dim, scale = len(centre), power_of_two(spread)
    images = isinstance(groups.model, ImageModel)
    inputs = tuple(shape or (dim,)) if images else (dim,)
    model = replace(groups.model, lipschitz=groups.model.lipschitz * scale)
    layers = list(
        build_network(
            model, groups.activation, groups.constraint, inputs, 1, transposed=norm == "l1"
        )
    )
    if images:
        middle = [0.0] * inputs[0] if channel_means is None else list(channel_means)
    else:
        middle = centre.tolist() if centred else [0.0] * dim
    if scale != 1.0 or any(middle):
        # Points are rows once they are flat; images are normalised by channel.
        layers.insert(0 if images else 1, Normalize(middle, [scale] * len(middle)))
    if not (images or centred):
        first = next(layer for layer in layers if isinstance(layer, Dense))
        if first.bias is not None:
            with torch.no_grad():
                start = torch.as_tensor(centre / scale, dtype=torch.float32)
                first.bias.copy_(-first.weight @ start)
    network = Network(layers, inputs, 1)
    network_graph(network)  # a layer of which nothing can be proven is refused before training
    return network


def as_inputs(critic: nn.Module, rows: Tensor) -> Tensor:
    """Rows [n, d] in the shape that ``critic`` takes: [n, *input_shape]."""
    shape = getattr(critic, "input_shape", None)
    return rows if shape is None or len(shape) == 1 else rows.reshape(-1, *shape)


@torch.no_grad()
def running_constant(critic: nn.Module, norm: str) -> float:
    """Product of the layers' operator norms as torch computes them: for the screen, no proof.

    Where the first weight is bounded from L2 to L-infinity, the others' are those of L-infinity.
    """
    layers = list(critic) if isinstance(critic, nn.Sequential) else []
    dense = [i for i, one in enumerate(layers) if isinstance(one, Dense)]
    if not dense or not isinstance(layers[dense[0]].constraint, RowsL2):
        return lipschitz_constant(critic, norm)
    first = torch.linalg.vector_norm(layers[dense[0]].weight.double(), dim=1).max()
    before, after = nn.Sequential(*layers[: dense[0]]), nn.Sequential(*layers[dense[0] + 1 :])
    return float(first) * lipschitz_constant(before, norm) * lipschitz_constant(after, "linf")


@torch.no_grad()
@certified_arithmetic()
def critic_values(
    critic: nn.Module, rows: Any, device: torch.device, chunk: int = 4096
) -> NDArray[np.float64]:
    """f at rows [n, d], float64 [n], as torch evaluates it: for the screen and pictures."""
    parts = []
    with evaluating(critic):
        for start in range(0, len(rows), chunk):
            part = torch.from_numpy(np.asarray(rows[start : start + chunk], np.float32)).to(device)
            parts.append(critic(as_inputs(critic, part)).double().cpu().numpy())
    return np.concatenate(parts)[:, 0]
