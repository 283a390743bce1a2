"""Dense and convolutional networks of the group ``model``."""

from __future__ import annotations

from collections.abc import Iterator

from lipsort_cli.config.options import like, node, option
from lipsort_cli.config.registry import Option, choice

CONSTRUCTIONS = ("orthogonal", "shift", "reshaped")
POOLINGS = ("max", "average", "l2")
DOWNSAMPLINGS = ("patch", "strided", *POOLINGS)
PADDINGS = ("zeros", "circular")


@choice("model", "mlp", presets=("mlp_critic",))
class MlpModel(Option):
    """Fully connected network of any widths (model.widths=[256,256,256])."""

    widths: list[int] | None = option(
        [256, 256, 256],
        "hidden widths; auto or null: as the data's dimension asks for",
        minimum=1,
        maximum=65536,
    )
    bias: bool = option(True, "dense layers have a bias")
    dropout: float = option(0.0, "dropout after each activation", minimum=0, below=1)
    input_dropout: float = option(0.0, "dropout of inputs", minimum=0, below=1)
    lipschitz: float = option(
        1.0, "the network is scaled to this constant", minimum=2.0**-60, maximum=2.0**60
    )
    scaling: str = option(
        "head",
        "where that factor is: before the head; or its root in each of the layers",
        choices=["head", "layers"],
    )

    def faults(self) -> Iterator[str]:
        if self.widths == [] and self.dropout > 0:
            yield "model.dropout: a network without hidden layers (model.widths=[]) has none"

    def fit(self, dim: int, group: int) -> bool:
        """Choose widths that are left open for points of ``dim`` coordinates; whether it did.

        Three layers of 128 up to so many dimensions. Beyond, two that are as wide as the data, up
        to 1024: w orthonormal rows keep only a share sqrt(w / dim) of a random direction. Both are
        multiples of ``group`` features.
        """
        if self.widths is not None:
            return False
        width = min(max(dim, 128), 1024)
        self.widths = [-(-width // group) * group] * (3 if dim <= 128 else 2)
        return True


@choice("model", "ensemble", commands=("train",))
class EnsembleModel(Option):
    """The mean of several fully connected networks, trained and certified as one network.

    With constraint=orthonormal it is as Lipschitz as each of them.
    """

    members: int = option(3, "networks whose mean is taken", minimum=2, maximum=64)
    widths: list[int] = option(
        [256, 256, 256], "hidden widths of each", minimum=1, maximum=65536, filled=True
    )
    bias: bool = like(MlpModel, "bias", True)
    dropout: float = like(MlpModel, "dropout", 0.0)


@node
class ImageModel(Option):
    """What every convolutional network has: channels by stage, then dense layers."""

    channels: list[int] = option(
        [32, 64], "channels of each stage of convolutions", minimum=1, maximum=65536, filled=True
    )
    widths: list[int] = option(
        [256], "widths of the dense layers before the head", minimum=1, maximum=65536
    )
    kernel: int = option(3, "taps of a kernel along each axis; odd", minimum=1, maximum=31)
    padding_mode: str = option("zeros", "what lies around an image", choices=PADDINGS)
    convolution: str = option(
        "orthogonal",
        "kernels of constraint=orthonormal: orthogonal operators; channels shifted by a pixel and "
        "mixed; or the reshaped kernel orthonormal and divided by ceil(kernel / stride)",
        choices=CONSTRUCTIONS,
    )
    bias: bool = option(True, "layers have a bias")
    dropout: float = like(MlpModel, "dropout", 0.0, "dropout after the activations of dense layers")
    lipschitz: float = like(MlpModel, "lipschitz", 1.0)

    def faults(self) -> Iterator[str]:
        even = isinstance(self, DcganCriticModel)
        if not self.widths and self.dropout > 0:
            yield "model.dropout: a network without dense layers (model.widths=[]) has none"
        if even and self.convolution == "shift":
            yield (
                f"model.convolution: found shift with model={self.name}, all of whose convolutions "
                "have a stride, which shifts cannot; allowed: orthogonal, reshaped"
            )
        if self.kernel % 2 == even:
            kind = "even" if even else "odd"
            near = f"{self.kernel - 1} or {self.kernel + 1}"
            yield (
                f"model.kernel: found {self.kernel}; model={self.name} takes {kind} kernels: {near}"
            )


@choice("model", "cnn")
class CnnModel(ImageModel):
    """Small convolutional network of orthogonal convolutions (model.channels=[32,64]).

    Stages of convolutions, each after halving the image; nothing is thrown away.
    """

    patch: int | None = option(
        None,
        "side of the blocks of pixels that become channels first; null: 2 where both sides of the "
        "image are even, otherwise 1",
        minimum=1,
        maximum=1024,
    )
    blocks: int = option(1, "convolutions a stage", minimum=1, maximum=100)
    downsampling: str = option(
        "patch", "how the image is halved between stages", choices=DOWNSAMPLINGS
    )


@choice("model", "cnn_large")
class LargeCnnModel(CnnModel):
    """Large convolutional network: more channels, more convolutions a stage."""

    channels: list[int] = like(CnnModel, "channels", [64, 128])
    blocks: int = like(CnnModel, "blocks", 3)
    widths: list[int] = like(CnnModel, "widths", [512])


@choice("model", "residual_cnn")
class ResidualCnnModel(CnnModel):
    """Convolutional network with residual blocks whose constant stays 1.

    As ``cnn``, with residual blocks of two convolutions.
    """

    blocks: int = like(CnnModel, "blocks", 3)
    branch: float = option(
        0.5,
        "first weight of a block's branch; its skip connection has 1 minus that",
        above=0,
        below=1,
    )


@choice("model", "lenet")
class LenetModel(ImageModel):
    """LeNet-5, its reshaped kernels orthonormal: the paper's convolutional classifier.

    Convolution and pooling, twice, then dense layers.
    """

    channels: list[int] = like(ImageModel, "channels", [6, 16])
    widths: list[int] = like(ImageModel, "widths", [120, 84])
    kernel: int = like(ImageModel, "kernel", 5)
    convolution: str = like(ImageModel, "convolution", "reshaped")
    pooling: str = option("max", "what halves the image", choices=POOLINGS)


@choice("model", "dcgan_critic")
class DcganCriticModel(ImageModel):
    """The critic of DCGAN: convolutions of 4x4 taps with stride 2."""

    channels: list[int] = like(ImageModel, "channels", [64, 128, 256])
    widths: list[int] = like(ImageModel, "widths", [])
    kernel: int = option(4, "taps of a kernel along each axis; even", minimum=2, maximum=30)


@choice("model", "extension", commands=("estimate-wasserstein",))
class ExtensionModel(Option):
    """Critic: McShane-Whitney extension of the samples' own potential, exact on them (norm=l2)."""

    centres: int = option(
        5000,
        "points of each side that the potential is fitted to; all training rows, where these are "
        "no more; those of P are its centres",
        minimum=1,
        maximum=65536,
    )
