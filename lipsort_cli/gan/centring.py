"""Centring by running means: what a critic's dense layers see varies about the origin.

Sorted features have large means that all points share. Turning a weight then moves every feature
alike, by far more than features differ between points; their order stops changing with the point,
and a sort whose order is fixed is a linear map.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from lipsort_cli.layers import ConstrainedLayer, Dense
from lipsort_cli.zoo import Network


class RunningCentre(nn.Module):
    """y = x - c for x [N, d], with c [d] the running mean of x in training; 1-Lipschitz.

    c is no function of the batch at hand: it moves between steps, by :meth:`follow`, so that f(x)
    depends on x alone and every bound holds. The first means count equally; later ones with
    ``RATE``.
    """

    RATE = 0.01
    mean: Tensor
    count: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("count", torch.tensor(0))
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen = x.detach()
        return x - self.mean

    def lipschitz(self, norm: str) -> float:
        return 1.0

    @torch.no_grad()
    def follow(self) -> None:
        """Take the mean of the points of the last forward pass in training in."""
        if self.seen is not None:
            self.count += 1
            share = (1 / self.count).clamp(min=self.RATE)
            self.mean.lerp_(self.seen.float().mean(0), share)
            self.seen = None


@torch.no_grad()
def without_centre(layer: Dense, centre: Tensor) -> Dense:
    """The dense layer that does to x what ``layer`` does to x - ``centre``."""
    own = copy.deepcopy(layer)
    assert own.bias is not None
    own.bias.sub_((own.weight.double() @ centre.double()).to(own.bias.dtype))
    return own


def with_running_centres(network: Network) -> Network:
    """The same layers with a running centre before each hidden dense layer, the first one excepted.

    The head needs none: what shifts f as a whole is no part of any difference. Nor does a first
    layer, since the data's own centre is known.
    """
    layers: list[nn.Module] = []
    deep = False
    for layer in network:
        if isinstance(layer, Dense) and deep and layer is not network.head:
            layers.append(RunningCentre(layer.in_features))
        deep = deep or isinstance(layer, ConstrainedLayer)
        layers.append(layer)
    return Network(layers, network.input_shape, network.outputs)


def without_centres(network: Network) -> Network:
    """``network`` with running centres taken into the layers behind them: its saved form."""
    layers: list[nn.Module] = []
    centre: Tensor | None = None
    for layer in network:
        if isinstance(layer, RunningCentre):
            centre = layer.mean
        elif isinstance(layer, Dense) and centre is not None:
            layers.append(without_centre(layer, centre))
            centre = None
        else:
            layers.append(layer)
    return Network(layers, network.input_shape, network.outputs)
