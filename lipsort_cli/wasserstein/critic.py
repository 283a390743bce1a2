"""Critics: networks of one output that are 1-Lipschitz in the ground metric.

W1(P, Q) = sup { E_P f - E_Q f : |f(x) - f(y)| <= ||x - y|| } (Kantorovich and Rubinstein). The
critic's gradient is bounded in the dual norm: L2 for L2, L1 for an L-infinity ground metric, and
L-infinity for an L1 ground metric. Every layer is 1-Lipschitz from the ground norm to itself:
orthonormal weights for L2, absolute row sums at most 1 for L-infinity, column sums for L1.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lipsort_cli.arithmetic import certified_arithmetic
from lipsort_cli.config.models import ImageModel
from lipsort_cli.layers import Dense, Normalize, lipschitz_constant
from lipsort_cli.layers.constraints import Constraint, RowsL2
from lipsort_cli.zoo import (
    Network,
    build_activation,
    build_mlp,
    build_network,
    constraint_maker,
    mlp_options,
)


class Transposed(Constraint):
    """Weights whose transpose is in ``inner``: absolute column sums at most 1 from row sums."""

    def __init__(self, inner: Constraint) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, parameter: Tensor) -> Tensor:
        """The transposed weight of ``inner``."""
        weight: Tensor = self.inner(parameter)
        return weight.mT

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The parameter of the transpose."""
        return self.inner.right_inverse(weight.mT)

    def sample(self, out_features: int, in_features: int) -> Tensor:
        """A transposed sample."""
        return self.inner.sample(in_features, out_features).mT

    def violation(self, weight: Tensor) -> float:
        """That of the transpose."""
        return self.inner.violation(weight.mT)

    def retract_(self, parameter: Tensor) -> None:
        """As ``inner`` does."""
        self.inner.retract_(parameter)


def build_critic(
    model: Any,
    activation: Any,
    constraint: Any,
    *,
    norm: str,
    centre: NDArray[np.float64],
    spread: float,
    shape: Sequence[int] | None = None,
    centred: bool = True,
    channel_means: Sequence[float] | None = None,
) -> Network:
    """A critic on points [N, d] in their own units, whatever these are; images [N, *shape] for a
    convolutional ``model``.

    ``centre`` [d] is taken off first: a mean that all points share would otherwise be most of what
    the first weight sees, and turning that weight would move all features alike. With ``centred``
    false only the first bias starts so that ``centre`` is at the origin. Where points are
    not of size about 1, they are divided by a power of two s near ``spread`` and the output is
    multiplied by it: both exact, and the constant stays 1. ``model.lipschitz`` scales the whole.
    Of images ``channel_means`` are taken off, where they are given.
    """

    inner = constraint_maker(constraint)

    def make() -> Constraint:
        return Transposed(inner()) if norm == "l1" else inner()

    scale = 2.0 ** round(math.log2(spread)) if 0 < spread < math.inf else 1.0
    scale = min(max(scale, 2.0**-60), 2.0**60)
    dim = len(centre)
    if isinstance(model, ImageModel):
        means = [0.0] * (shape or (dim,))[0] if channel_means is None else list(channel_means)
        return _image_critic(model, activation, constraint, shape or (dim,), scale, means)
    if model.widths is None:
        model.fit(dim, activation.group)
    network = build_mlp(
        [dim],
        1,
        model.widths,
        lambda: build_activation(activation),
        make,
        **mlp_options(model) | {"lipschitz": model.lipschitz * scale},
    )
    layers = list(network)
    middle = centre if centred else np.zeros(dim)
    if scale != 1.0 or np.any(middle):
        layers.insert(1, Normalize(middle.tolist(), [scale] * dim))
    first = next(layer for layer in layers if isinstance(layer, Dense))
    if not centred and first.bias is not None:
        with torch.no_grad():
            start = torch.as_tensor(centre / scale, dtype=torch.float32)
            first.bias.copy_(-first.weight @ start)
    return Network(layers, [dim], 1)


def _image_critic(
    model: Any,
    activation: Any,
    constraint: Any,
    shape: Sequence[int],
    scale: float,
    means: list[float],
) -> Network:
    """Convolutions on images less ``means``, divided by ``scale``, times it."""
    scaled = copy.copy(model)
    scaled.lipschitz = model.lipschitz * scale
    network = build_network(scaled, activation, constraint, shape, 1)
    if scale == 1.0 and not any(means):
        return network
    units = Normalize(means, [scale] * shape[0])
    return Network([units, *network], shape, 1)


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
    was_training = critic.training
    critic.eval()
    parts = [
        critic(
            as_inputs(
                critic, torch.from_numpy(np.asarray(rows[i : i + chunk], np.float32)).to(device)
            )
        )
        .double()
        .cpu()
        .numpy()
        for i in range(0, len(rows), chunk)
    ]
    critic.train(was_training)
    return np.concatenate(parts)[:, 0]


def weighted_gap(
    f_x: NDArray[np.float64],
    f_y: NDArray[np.float64],
    x_weights: NDArray[np.float64] | None,
    y_weights: NDArray[np.float64] | None,
) -> float:
    """sum a f(x) - sum b f(y), weights normalised."""
    return float(np.average(f_x, weights=x_weights) - np.average(f_y, weights=y_weights))
