"""Convolutional networks of the zoo."""

from __future__ import annotations

from dataclasses import dataclass

from lipsort_cli.config.options import REQUIRED, option

CONSTRUCTIONS = ("orthogonal", "reshaped")
POOLINGS = ("max", "average", "l2")
DOWNSAMPLINGS = ("patch", "strided", *POOLINGS)
PADDINGS = ("zeros", "circular")


@dataclass
class ImageModel:
    """What every convolutional network has: channels by stage, then dense layers."""

    name: str = REQUIRED
    channels: list[int] = option(
        [32, 64], "channels of each stage of convolutions", minimum=1, maximum=65536
    )
    widths: list[int] = option(
        [256], "widths of the dense layers before the head", minimum=1, maximum=65536
    )
    kernel: int = option(3, "taps of a kernel along each axis; odd", minimum=1, maximum=31)
    padding_mode: str = option("zeros", "what lies around an image", choices=PADDINGS)
    convolution: str = option(
        "orthogonal",
        "kernels of constraint=orthonormal: orthogonal operators, or the reshaped kernel "
        "orthonormal and divided by ceil(kernel / stride)",
        choices=CONSTRUCTIONS,
    )
    bias: bool = option(True, "layers have a bias")
    dropout: float = option(
        0.0, "dropout after the activations of dense layers", minimum=0, below=1
    )
    lipschitz: float = option(
        1.0, "the network is scaled to this constant", minimum=2.0**-60, maximum=2.0**60
    )


@dataclass
class CnnModel(ImageModel):
    """Stages of convolutions, each after halving the image; nothing is thrown away."""

    blocks: int = option(1, "convolutions a stage", minimum=1, maximum=100)
    downsampling: str = option(
        "patch", "how the image is halved between stages", choices=DOWNSAMPLINGS
    )


@dataclass
class ResidualCnnModel(CnnModel):
    """As ``cnn``, with residual blocks of two convolutions."""

    branch: float = option(
        0.5,
        "first weight of a block's branch; its skip connection has 1 minus that",
        above=0,
        below=1,
    )


@dataclass
class LenetModel(ImageModel):
    """LeNet-5: convolution and pooling, twice, then dense layers."""

    channels: list[int] = option([6, 16], "channels of each convolution", minimum=1, maximum=65536)
    widths: list[int] = option(
        [120, 84], "widths of the dense layers before the head", minimum=1, maximum=65536
    )
    kernel: int = option(5, "taps of a kernel along each axis; odd", minimum=1, maximum=31)
    convolution: str = option(
        "reshaped",
        "kernels of constraint=orthonormal: orthogonal operators, or the reshaped kernel "
        "orthonormal and divided by ceil(kernel / stride)",
        choices=CONSTRUCTIONS,
    )
    pooling: str = option("max", "what halves the image", choices=POOLINGS)


@dataclass
class DcganCriticModel(ImageModel):
    """The critic of DCGAN: kernels of 4 taps with stride 2."""

    channels: list[int] = option(
        [64, 128, 256], "channels of each convolution", minimum=1, maximum=65536
    )
    widths: list[int] = option(
        [], "widths of the dense layers before the head", minimum=1, maximum=65536
    )
    kernel: int = option(4, "taps of a kernel along each axis; even", minimum=2, maximum=30)


IMAGE_MODELS: dict[str, type] = {
    "cnn": CnnModel,
    "cnn_large": CnnModel,
    "residual_cnn": ResidualCnnModel,
    "lenet": LenetModel,
    "dcgan_critic": DcganCriticModel,
}
