"""Critics: what tells data from generated samples, and how each kind is kept from growing.

A critic that is K-Lipschitz by construction has a value that means something: the gap
mean f(x) - mean f(y) over K is at most the Wasserstein-1 distance of the two samples (Kantorovich
and Rubinstein). Clipping, gradient penalty and spectral normalisation by power iteration only steer
the constant: their value is a critic's value, and no distance.

No critic here normalises over a batch: that would make f(x) depend on the other points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lipsort_cli.config.models import ImageModel
from lipsort_cli.config.wgan import KnownCritic, WganConfig
from lipsort_cli.gan.centring import RunningCentre, with_running_centres, without_centre
from lipsort_cli.gan.convolutional import check_image, plain_convolutions
from lipsort_cli.layers import ConstrainedLayer, Dense, Normalize, ReshapedConvolution, Scale
from lipsort_cli.layers.constraints import Unconstrained
from lipsort_cli.optim import adam, build_optimizer
from lipsort_cli.wasserstein.critic import build_critic, running_constant
from lipsort_cli.zoo import Network

Value = Callable[[Tensor], Tensor]


class Critic:
    """A network [N, *shape] to [N, 1], its optimizer, and what keeps its constant in check."""

    known: float | None = None
    """Its Lipschitz constant, where the construction fixes it (up to rounding)."""
    norm = "l2"
    """The ground metric of that."""

    def __init__(self, config: Any, network: Network, optimizer: Optimizer) -> None:
        self.config = config
        self.network = network
        self.optimizer = optimizer
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]
        optimizer.register_step_post_hook(lambda *_: self.after_step())

    def penalty(self, f: Value, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
        """What is added to the loss; 0 for most."""
        return torch.zeros((), device=real.device)

    def after_step(self) -> None:
        """What is done to the weights after each step."""

    def plain(self) -> Network:
        """The network in layers of this package, constraints applied, as it is saved."""
        return plain_copy(self.network.eval())


class LipschitzCritic(Critic):
    """K-Lipschitz by construction, at every step.

    Between exact retractions weights on the Stiefel manifold are orthonormal to some 1e-4, which is
    less than bfloat16 makes of them in each product; :meth:`plain` retracts them first.
    """

    EXACT_EVERY = 8

    def __init__(
        self,
        config: Any,
        network: Network,
        optimizer: Optimizer,
        *,
        nominal: float,
        norm: str,
        exact: bool,
    ) -> None:
        super().__init__(config, network, optimizer)
        self.nominal, self.norm, self.exact = nominal, norm, exact
        for group in optimizer.param_groups:
            if "exact_every" in group:
                group["exact_every"] = self.EXACT_EVERY

    @property
    def known(self) -> float | None:  # type: ignore[override]
        """K; where training only comes near the set, that of the weights if it is larger."""
        if self.exact:
            return self.nominal
        return max(self.nominal, running_constant(self.network, self.norm))

    def after_step(self) -> None:
        """Move the running centres."""
        for layer in self.network:
            if isinstance(layer, RunningCentre):
                layer.follow()

    def plain(self) -> Network:
        """The network with weights retracted exactly."""
        for layer in self.network.modules():
            if isinstance(layer, ConstrainedLayer) and layer.manifold():
                layer.retract_()
        return super().plain()


class ClipCritic(Critic):
    """Every weight and bias in [-clip, clip] (Arjovsky, Chintala, Bottou: "WGAN", 2017)."""

    def __init__(self, config: Any, network: Network, optimizer: Optimizer) -> None:
        super().__init__(config, network, optimizer)
        self.after_step()

    @torch.no_grad()
    def after_step(self) -> None:
        """Clip."""
        for parameter in self.network.parameters():
            parameter.clamp_(-self.config.clip, self.config.clip)


class PenaltyCritic(Critic):
    """penalty * mean (||grad f|| - 1)^2 between real and generated points (Gulrajani et al.)."""

    def penalty(self, f: Value, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
        """The two-sided penalty at random points of the segments from real to fake."""
        share = torch.rand(len(real), generator=random).to(real.device)
        share = share.view(-1, *[1] * (real.dim() - 1))
        points = (share * real + (1 - share) * fake).requires_grad_()
        (slopes,) = torch.autograd.grad(f(points).sum(), points, create_graph=True)
        # The square root's slope at 0 is infinite: a critic that is constant there would be NaN.
        norms = (slopes.flatten(1).square().sum(1) + 1e-12).sqrt()
        loss: Tensor = self.config.penalty * (norms - 1).square().mean()
        return loss


class SpectralCritic(Critic):
    """torch's spectral normalisation: divided by an estimate from power iteration.

    The estimate is below the largest singular value, so the constant is a little above 1.
    """

    def __init__(self, config: Any, network: Network, optimizer: Optimizer) -> None:
        for layer in network:
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=config.iterations)
        # The optimizer was made for the weights that are now parametrised.
        own = [parameter for parameter in network.parameters() if parameter.requires_grad]
        super().__init__(config, network, _adam(own, config))


def _adam(parameters: list[nn.Parameter], config: Any) -> Optimizer:
    return adam(parameters, lr=config.lr, betas=(config.beta1, config.beta2))


CRITICS: dict[str, type[Critic]] = {
    "lipschitz": LipschitzCritic,
    "groupsort": LipschitzCritic,
    "relu": LipschitzCritic,
    "clip": ClipCritic,
    "gp": PenaltyCritic,
    "sn": SpectralCritic,
}
"""Kinds by the name of their option."""


def make_critic(
    config: WganConfig,
    shape: Sequence[int],
    *,
    centre: Tensor,
    spread: float,
    device: torch.device | None = None,
) -> Critic:
    """The critic of a configuration.

    Args:
        config: what `lipsort wgan` was told.
        shape: of one point; [C, H, W] for convolutions.
        centre: of the data [*shape], where the network's origin is put.
        spread: root mean square distance of the data from it.
        device: where the network goes.

    Raises:
        UsageError: a convolutional critic for points that are no images.
    """
    critic = config.critic
    kind = CRITICS[critic.name]
    if isinstance(critic, KnownCritic):
        return _lipschitz(config, shape, centre, spread, device)
    network = _plain(critic, shape, centre, spread).to(device)
    return kind(critic, network, _adam(list(network.parameters()), critic))


def _lipschitz(
    config: WganConfig,
    shape: Sequence[int],
    centre: Tensor,
    spread: float,
    device: torch.device | None,
) -> LipschitzCritic:
    critic, chosen = config.critic, config.network()
    if critic.channels and config.model.name == "preset":
        check_image(critic, shape)
    images = isinstance(chosen.model, ImageModel)
    centred = chosen.model.bias and (images or _centred(chosen.model.widths, centre))
    network = build_critic(
        chosen.model,
        chosen.activation,
        chosen.constraint,
        norm=config.norm,
        centre=centre.flatten().double().numpy().astype(np.float64),
        spread=spread,
        shape=shape,
        centred=centred,
        channel_means=centre.flatten(1).mean(1).tolist() if images and len(shape) == 3 else None,
    )
    network = (with_running_centres(network) if centred else network).to(device)
    return LipschitzCritic(
        critic,
        network,
        build_optimizer(network, chosen.optimizer),
        nominal=float(chosen.model.lipschitz),
        norm=config.norm,
        exact=chosen.constraint.name == "orthonormal",
    )


def _centred(widths: Sequence[int], centre: Tensor) -> bool:
    """Whether centres are taken off: not where the first layer is wider than a point.

    Measured: digits, 64 coordinates and 256 features, became worse by them; MNIST better.
    """
    return centre.numel() >= max(widths[:1], default=0)


def _plain(config: Any, shape: Sequence[int], centre: Tensor, spread: float) -> Network:
    """Ordinary layers with leaky ReLU, on centred inputs of size about 1 in every coordinate."""
    size = spread / math.sqrt(centre.numel()) or 1.0
    layers: list[nn.Module] = []
    if config.channels:
        convolutions = plain_convolutions(config, shape)  # checks that points are images
        middle = centre.flatten(1).mean(1).tolist()
        layers += [Normalize(middle, [size] * shape[0]), *convolutions]
    layers.append(nn.Flatten())
    if not config.channels:
        layers.append(Normalize(centre.flatten().tolist(), [size] * centre.numel()))
    features = int(nn.Sequential(*layers)(torch.zeros(1, *shape)).shape[1])
    for width in config.widths:
        layers += [nn.Linear(features, width), nn.LeakyReLU(config.slope)]
        features = width
    if config.name == "sn":
        layers.append(Scale(config.lipschitz * size))  # nominally K in raw units
    # Without convolutions an image is a row of numbers, each with a centre of its own.
    return Network(
        [*layers, nn.Linear(features, 1)], shape if config.channels else [centre.numel()], 1
    )


def plain_copy(network: Network) -> Network:
    """``network`` with torch's own layers as layers of this package: its saved form."""
    layers: list[nn.Module] = []
    centre: Tensor | None = None
    for layer in network:
        if isinstance(layer, nn.Linear):
            dense = Dense(layer.in_features, layer.out_features, True, Unconstrained())
            with torch.no_grad():
                dense.parameter.copy_(layer.weight)
                assert dense.bias is not None
                dense.bias.copy_(layer.bias)
            layers.append(dense)
        elif isinstance(layer, nn.Conv2d):
            layers.append(_copied_convolution(layer))
        elif isinstance(layer, RunningCentre):
            centre = layer.mean
        elif isinstance(layer, Dense) and centre is not None:
            layers.append(without_centre(layer, centre))
            centre = None
        else:
            layers.append(layer)
    return Network(layers, network.input_shape, network.outputs)


def _copied_convolution(layer: nn.Conv2d) -> ReshapedConvolution:
    copy = ReshapedConvolution(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size[0],
        constraint=Unconstrained,
        stride=layer.stride[0],
        padding=int(layer.padding[0]),
    )
    with torch.no_grad():
        copy.parts[0].copy_(layer.weight.flatten(1))
        assert copy.bias is not None and layer.bias is not None
        copy.bias.copy_(layer.bias)
    return copy
