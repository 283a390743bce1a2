"""Convolutional Lipschitz networks: classifiers and critics of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from lipsort_cli.config.activations import Activation
from lipsort_cli.config.constraints import Constraint
from lipsort_cli.config.models import CnnModel, ImageModel, LenetModel, ResidualCnnModel
from lipsort_cli.console import plural
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import AveragePool, Dense, L2Pool, MaxPool, Residual, Scale, SpaceToDepth
from lipsort_cli.zoo.factories import build_activation, build_constraint, build_convolution
from lipsort_cli.zoo.network import Network

_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": lambda: MaxPool(2),
    # Scaled to constant 1: a mean alone would halve every distance.
    "average": lambda: AveragePool(2, normalized=True),
    "l2": lambda: L2Pool(2),
}


class Builder:
    """Appends layers and keeps track of the shape that they leave."""

    def __init__(
        self,
        model: ImageModel,
        activation: Activation,
        constraint: Constraint,
        input_shape: Sequence[int],
    ) -> None:
        if len(input_shape) != 3:
            raise UsageError(
                f"model: found {model.name}, which takes images [channels, height, width]; the "
                f"data's inputs have shape {list(input_shape)}: choose model=mlp"
            )
        self.model, self.activation, self.constraint = model, activation, constraint
        self.input_shape = tuple(input_shape)
        self.shape = self.input_shape
        self.layers: list[nn.Module] = []

    def add(self, layer: nn.Module) -> None:
        """Append a layer."""
        self.layers.append(layer)
        with torch.no_grad():
            self.shape = tuple(layer.eval()(torch.zeros(1, *self.shape)).shape[1:])
        layer.train()

    def convolution(self, out: int, kernel: int, **options: Any) -> nn.Module:
        """A convolution of the model's construction from the channels that there are."""
        kind, channels = self.model.convolution, self.shape[0]
        options |= {"padding_mode": self.model.padding_mode, "bias": self.model.bias}
        return build_convolution(self.constraint, kind, channels, out, kernel, **options)

    def activate(self) -> None:
        """Append an activation over channels, or over features once flat."""
        self.add(build_activation(self.activation, dim=1))

    def check_halves(self, stage: int) -> None:
        """Refuse more stages than the image has halves."""
        height, width = self.shape[1:]
        if min(height, width) < 2:
            raise UsageError(
                f"model.channels: found {plural(len(self.model.channels), 'stage')}; an image of "
                f"{self.input_shape[1]}x{self.input_shape[2]} pixels is {height}x{width} after "
                f"{stage} of them and cannot be halved: give fewer"
            )

    def halve(self, stage: int, way: str) -> None:
        """Halve the image, the model's ``way``: blocks of pixels lose nothing."""
        self.check_halves(stage)
        height, width = self.shape[1:]
        out = self.model.channels[stage]
        if way in _POOLS:
            self.add(_POOLS[way]())
            return
        even = way == "patch" and height % 2 == 0 and width % 2 == 0
        taps, padding = (2, 0) if even else (3, 1)
        self.add(self.convolution(out, taps, stride=2, padding=padding))
        self.activate()

    def finish(self, outputs: int) -> Network:
        """Flatten, dense layers, scaling, and the dense head."""
        self.add(nn.Flatten())
        for width in self.model.widths:
            self.add(self._dense(width))
            self.activate()
            if self.model.dropout > 0:
                self.add(nn.Dropout(self.model.dropout))
        if self.model.lipschitz != 1.0:
            self.add(Scale(self.model.lipschitz))
        self.add(self._dense(outputs))
        return Network(self.layers, self.input_shape, outputs)

    def _dense(self, width: int) -> Dense:
        constraint = build_constraint(self.constraint)
        return Dense(math.prod(self.shape), width, self.model.bias, constraint)


def build_cnn(builder: Builder, model: CnnModel) -> None:
    """Blocks of pixels into channels, then stages of convolutions of an odd kernel.

    A stage's first layer has the stage's channels; between stages the image is halved. Images with
    an odd side start with the first stage's convolutions, and are halved by kernels of 3 with
    stride 2, which is the one step that may lose something.
    """
    same = model.kernel // 2
    height, width = builder.shape[1:]
    patch = model.patch or (1 if height % 2 or width % 2 else 2)
    if height % patch or width % patch:
        raise UsageError(
            f"model.patch: found {patch} and images of {height}x{width} pixels; allowed: what "
            f"divides both sides, such as {math.gcd(height, width)}"
        )
    if patch > 1:
        builder.add(SpaceToDepth(patch))
    for stage, channels in enumerate(model.channels):
        if stage:
            builder.halve(stage, model.downsampling)
        for _ in range(model.blocks):
            if isinstance(model, ResidualCnnModel) and builder.shape[0] == channels:
                builder.add(_residual(builder, model))
            else:
                builder.add(builder.convolution(channels, model.kernel, padding=same))
                builder.activate()


def _residual(builder: Builder, model: ResidualCnnModel) -> Residual:
    """(1 - a) x + a f(x), f two convolutions with their activations; a is learnt."""
    channels = builder.shape[0]
    layers: list[nn.Module] = []
    for _ in range(2):
        layers.append(builder.convolution(channels, model.kernel, padding=model.kernel // 2))
        layers.append(build_activation(builder.activation, dim=1))
    return Residual(layers, branch=model.branch)


def build_lenet(builder: Builder, model: LenetModel) -> None:
    """LeCun et al. (1998) with padding: convolution, activation, pooling for each of channels."""
    for stage, channels in enumerate(model.channels):
        builder.check_halves(stage)
        builder.add(builder.convolution(channels, model.kernel, padding=model.kernel // 2))
        builder.activate()
        builder.add(_POOLS[model.pooling]())


def build_dcgan_critic(builder: Builder, model: ImageModel) -> None:
    """Radford et al. (2016): strided convolutions, without normalisation over the batch.

    Each halves the image; a last row and column of an odd side share their windows with padding.
    """
    for stage, channels in enumerate(model.channels):
        builder.check_halves(stage)
        builder.add(
            builder.convolution(channels, model.kernel, stride=2, padding=model.kernel // 2 - 1)
        )
        builder.activate()


BUILDERS: dict[str, Callable[[Builder, Any], None]] = {
    "cnn": build_cnn,
    "cnn_large": build_cnn,
    "residual_cnn": build_cnn,
    "lenet": build_lenet,
    "dcgan_critic": build_dcgan_critic,
}


def build_image_network(
    model: ImageModel,
    activation: Activation,
    constraint: Constraint,
    input_shape: Sequence[int],
    outputs: int,
) -> Network:
    """A convolutional network of configuration groups, for images ``input_shape`` [C, H, W].

    Raises:
        UsageError: inputs that are no images; images that are too small for the stages.

    Example:
        >>> from lipsort_cli.config.activations import MaxminActivation
        >>> from lipsort_cli.config.constraints import OrthonormalConstraint
        >>> from lipsort_cli.config.models import CnnModel
        >>> network = build_image_network(
        ...     CnnModel(), MaxminActivation(), OrthonormalConstraint(), (1, 28, 28), 10
        ... )
        >>> network(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """
    builder = Builder(model, activation, constraint, input_shape)
    BUILDERS[model.name](builder, model)
    return builder.finish(outputs)
