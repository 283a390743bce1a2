"""The typed configuration of the generators of `lipsort wgan`: the group ``generator``."""

from __future__ import annotations

from lipsort_cli.config.options import node, option
from lipsort_cli.config.registry import Option, choice


@node
class GeneratorBase(Option):
    """What every generator has."""

    latent: int = option(64, "dimension of the noise", minimum=1, maximum=65536)
    output: str = option(
        "auto",
        "last map; auto: sigmoid for data within [0, 1], linear for other data",
        choices=["auto", "sigmoid", "linear"],
    )
    lr: float = option(1e-3, "learning rate of Adam", above=0)
    beta1: float = option(0.5, "decay of the first moment", minimum=0, below=1)
    beta2: float = option(0.9, "decay of the second moment", minimum=0, below=1)


@choice("generator", "dcgan")
class DcganGenerator(GeneratorBase):
    """Transposed convolutions that double the image until it has its size (DCGAN)."""

    channels: int = option(64, "channels before the last doubling", minimum=1, maximum=4096)
    normalisation: str = option(
        "batch", "normalisation of hidden layers", choices=["batch", "none"]
    )


@choice("generator", "mlp")
class MlpGenerator(GeneratorBase):
    """Fully connected generator; the only one for points that are no images."""

    widths: list[int] = option([256, 256], "hidden widths", minimum=1, maximum=65536)
    normalisation: str = option(
        "batch", "normalisation of hidden layers", choices=["batch", "none"]
    )
