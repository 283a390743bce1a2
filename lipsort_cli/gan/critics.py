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
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import Optimizer

from lipsort_cli.config import wgan as options
from lipsort_cli.config.models import ImageModel, MlpModel
from lipsort_cli.config.train import LipschitzNetwork
from lipsort_cli.config.wgan import (
    CriticBase,
    FreeCritic,
    KnownCritic,
    SpectralNormCritic,
    WganConfig,
)
from lipsort_cli.console import plural
from lipsort_cli.devices import sent
from lipsort_cli.errors import UsageError
from lipsort_cli.gan.centring import RunningCentre, with_running_centres, without_centres
from lipsort_cli.layers import ConstrainedLayer, Dense, Normalize, ReshapedConvolution
from lipsort_cli.layers.base import evaluating
from lipsort_cli.optim import build_optimizer
from lipsort_cli.wasserstein.critic import build_critic, running_constant
from lipsort_cli.zoo import Network, build_network

Value = Callable[[Tensor], Tensor]


class Critic:
    """A network [N, *shape] to [N, 1], its optimizer, and what keeps its constant in check."""

    known: float | None = None
    """Its Lipschitz constant, where the construction fixes it (up to rounding)."""
    norm = "l2"
    """The ground metric of that."""

    def __init__(self, config: CriticBase, network: Network, optimizer: Optimizer) -> None:
        self.config, self.network, self.optimizer = config, network, optimizer
        optimizer.register_step_post_hook(lambda *_: self.after_step())

    def penalty(self, f: Value, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
        """What is added to the loss; 0 for most."""
        return torch.zeros((), device=real.device)

    def after_step(self) -> None:
        """What is done to the weights after each step."""

    def plain(self) -> Network:
        """The network in layers of this package, constraints applied, as it is saved."""
        return without_centres(self.network.eval())


class LipschitzCritic(Critic):
    """K-Lipschitz by construction, at every step.

    Between exact retractions weights on the Stiefel manifold are orthonormal to some 1e-4, which is
    less than bfloat16 makes of them in each product; :meth:`plain` retracts them first.
    """

    EXACT_EVERY = 8

    def __init__(
        self,
        config: CriticBase,
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
        for layer in self.network:
            if isinstance(layer, RunningCentre):
                layer.follow()

    def plain(self) -> Network:
        for layer in self.network.modules():
            if isinstance(layer, ConstrainedLayer) and layer.manifold():
                layer.retract_()
        return super().plain()


class ClipCritic(Critic):
    """Every weight and bias in [-clip, clip] (Arjovsky, Chintala, Bottou: "WGAN", 2017)."""

    config: options.ClipCritic

    def __init__(self, config: CriticBase, network: Network, optimizer: Optimizer) -> None:
        super().__init__(config, network, optimizer)
        self.after_step()

    @torch.no_grad()
    def after_step(self) -> None:
        for parameter in self.network.parameters():
            parameter.clamp_(-self.config.clip, self.config.clip)


class PenaltyCritic(Critic):
    """penalty * mean (||grad f|| - 1)^2 between real and generated points (Gulrajani et al.)."""

    config: options.GradientPenaltyCritic

    def penalty(self, f: Value, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
        """The two-sided penalty at random points of the segments from real to fake."""
        points = between(real, fake, random)
        (slopes,) = torch.autograd.grad(f(points).sum(), points, create_graph=True)
        # The square root's slope at 0 is infinite: a critic that is constant there would be NaN.
        norms = (slopes.flatten(1).square().sum(1) + 1e-12).sqrt()
        return self.config.penalty * (norms - 1).square().mean()


KEPT: dict[str, type[Critic]] = {"clip": ClipCritic, "gp": PenaltyCritic}
"""What keeps a free critic's constant in check, where that is not in its layers."""


def make_critic(
    config: WganConfig,
    shape: Sequence[int],
    *,
    centre: Tensor,
    spread: float,
    device: torch.device | None = None,
) -> Critic:
    """The critic of a configuration, on points of ``shape``; [C, H, W] for convolutions.

    The network's origin is put at ``centre`` [*shape] of the data; ``spread`` is their root mean
    square distance from it.

    Raises:
        UsageError: a convolutional critic for points that are no images.
    """
    critic, groups = config.critic, config.network()
    if critic.channels and config.model.name == "preset":
        _check_image(critic.channels, shape)
    if not isinstance(critic, KnownCritic):
        network = _free(critic, groups, shape, centre, spread).to(device)
        kind = KEPT.get(critic.name, Critic)
        return kind(critic, network, build_optimizer(network, groups.optimizer))
    if isinstance(groups.model, MlpModel):
        groups.model.fit(centre.numel(), groups.activation.group)
    images = isinstance(groups.model, ImageModel)
    # Where the first layer is wider than a point, centres are not taken off. Measured: digits, 64
    # coordinates and 256 features, became worse by them; MNIST better.
    narrow = images or centre.numel() >= max(groups.model.widths[:1], default=0)
    centred = groups.model.bias and narrow
    network = build_critic(
        groups,
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
        build_optimizer(network, groups.optimizer),
        nominal=float(groups.model.lipschitz),
        norm=config.norm,
        exact=groups.constraint.name == "orthonormal",
    )


def _check_image(channels: Sequence[int], shape: Sequence[int]) -> None:
    """Refuse points that are no images, and images too small for so many halvings."""
    if len(shape) != 3:
        raise UsageError(
            f"critic.channels: found {channels} for points of shape {list(shape)}, which "
            "are no images [channels, height, width]; allowed: []"
        )
    most = int(math.log2(min(shape[1:])))
    if len(channels) > most:
        raise UsageError(
            f"critic.channels: found {plural(len(channels), 'convolution')}; an image of "
            f"{shape[1]}x{shape[2]} pixels can be halved {plural(most, 'time')}: give fewer"
        )


def _free(
    critic: FreeCritic,
    groups: LipschitzNetwork,
    shape: Sequence[int],
    centre: Tensor,
    spread: float,
) -> Network:
    """A network without constraints, on centred inputs of size about 1 in every coordinate."""
    size = spread / math.sqrt(centre.numel()) or 1.0
    # Without convolutions an image is a row of numbers, each with a centre of its own.
    means = (centre.flatten(1).mean(1) if critic.channels else centre.flatten()).tolist()
    inputs = shape if critic.channels else [len(means)]
    model = groups.model
    if isinstance(critic, SpectralNormCritic):
        model = replace(model, lipschitz=model.lipschitz * size)  # nominally K in raw units
    layers = list(build_network(model, groups.activation, groups.constraint, inputs, 1))
    if isinstance(critic, SpectralNormCritic):
        # By an estimate from below, so that the constant is a little above K.
        for layer in layers:
            if isinstance(layer, Dense):
                spectral_norm(layer, "parameter", critic.iterations)
            elif isinstance(layer, ReshapedConvolution):
                spectral_norm(layer.parts, "0", critic.iterations)
    layers.insert(0 if critic.channels else 1, Normalize(means, [size] * len(means)))
    return Network(layers, inputs, 1)


def critic_loss(name: str, real: Tensor, fake: Tensor) -> Tensor:
    """The critic's loss of its values f(x) [n] on data and f(y) [m] on generated points.

    wasserstein: mean f(y) - mean f(x), the negative of the dual's objective. hinge: mean max(0, 1 -
    f(x)) + mean max(0, 1 + f(y)), which leaves points alone that are told apart well enough. The
    generator's loss is -mean f(y) for both.
    """
    if name == "wasserstein":
        return fake.mean() - real.mean()
    if name == "hinge":
        return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
    raise ValueError(f"found loss {name!r}; allowed are wasserstein, hinge")


def gap(real: Tensor, fake: Tensor) -> Tensor:
    """mean f(x) - mean f(y): at most K W1 of the two samples for a K-Lipschitz f; a scalar."""
    return real.detach().mean() - fake.detach().mean()


def between(real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """Random points of the segments from ``real`` to ``fake`` [n, ...], to differentiate at."""
    share = sent(torch.rand(len(real), generator=random), real.device)
    share = share.view(-1, *[1] * (real.dim() - 1))
    return (share * real + (1 - share) * fake).detach().requires_grad_()


def gradient_norms(
    network: nn.Module, real: Tensor, fake: Tensor, random: torch.Generator
) -> Tensor:
    """||grad f|| at random points of the segments from ``real`` to ``fake`` [n, ...]: [n], float32.

    Empirical: no bound of the constant, which may be larger elsewhere.
    """
    points = between(real, fake, random)
    with evaluating(network):
        (slopes,) = torch.autograd.grad(network(points).sum(), points)
    return slopes.flatten(1).norm(dim=1)
