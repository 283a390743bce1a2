"""Generators: networks from Gaussian noise to samples in the raw units of the data.

Nothing bounds their Lipschitz constant, so normalisation is allowed. A saved generator is a
safetensors file whose header says how to build it; loading one runs no code of the file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lipsort_cli.config.schema import GROUPS
from lipsort_cli.config.wgan import DcganGenerator, GeneratorBase, MlpGenerator
from lipsort_cli.errors import LipsortError, UsageError, first_line
from lipsort_cli.files import write_atomic
from lipsort_cli.layers.base import evaluating

_FORMAT = "lipsort-generator-1"
_SMALLEST = 4
"""Pixels from which doublings start, at least."""


class Generator(nn.Module):
    """z [N, latent] to samples [N, *shape], z standard normal.

    The last map is a sigmoid where the data lies in [0, 1]; elsewhere ``centre + spread * h``, with
    both fixed when the generator is built, so that the network itself works in units of size 1.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        body: nn.Module,
        latent: int,
        shape: Sequence[int],
        *,
        bounded: bool,
        centre: Tensor | None = None,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        self.body, self.latent, self.bounded = body, latent, bounded
        self.shape = tuple(shape)
        middle = torch.zeros(self.shape) if centre is None else centre
        self.register_buffer("centre", middle.to(torch.float32).reshape(self.shape).clone())
        self.register_buffer("spread", torch.tensor(float(spread)))

    def forward(self, z: Tensor) -> Tensor:
        """z [N, latent] to float32 [N, *shape] in raw units."""
        h = self.body(z).float()
        if h.dim() == 4:  # doubling overshoots sizes that it does not reach
            h = h[..., : self.shape[1], : self.shape[2]]
        h = h.reshape(-1, *self.shape)
        return h.sigmoid() if self.bounded else self.centre + self.spread * h


def _mlp(config: MlpGenerator, shape: Sequence[int]) -> nn.Module:
    layers: list[nn.Module] = []
    features = config.latent
    for width in config.widths:
        layers.append(nn.Linear(features, width))
        if config.normalisation == "batch":
            layers.append(nn.BatchNorm1d(width))
        layers.append(nn.ReLU())
        features = width
    return nn.Sequential(*layers, nn.Linear(features, math.prod(shape)))


def _dcgan(config: DcganGenerator, shape: Sequence[int]) -> nn.Module:
    if len(shape) != 3:
        raise UsageError(
            f"generator: found dcgan for points of shape {list(shape)}; it makes images "
            "[channels, height, width]: choose generator=mlp"
        )
    colours, height, width = shape
    doublings = max(1, int(math.log2(max(_SMALLEST * 2, min(height, width)) / _SMALLEST)))
    low = [-(-side // 2**doublings) for side in (height, width)]
    channels = config.channels * 2 ** (doublings - 1)

    def normalised(count: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(count)] if config.normalisation == "batch" else []

    layers: list[nn.Module] = [
        nn.Linear(config.latent, channels * low[0] * low[1]),
        nn.Unflatten(1, (channels, low[0], low[1])),
        *normalised(channels),
        nn.ReLU(),
    ]
    for _ in range(doublings - 1):
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1))
        channels //= 2
        layers += [*normalised(channels), nn.ReLU()]
    layers.append(nn.ConvTranspose2d(channels, colours, 4, 2, 1))
    return nn.Sequential(*layers)


BUILDERS: dict[str, Callable[[Any, Sequence[int]], nn.Module]] = {"mlp": _mlp, "dcgan": _dcgan}
"""Bodies by the name of their option."""


def build_generator(
    config: GeneratorBase,
    image_shape: Sequence[int],
    *,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    centre: Tensor | None = None,
    spread: float = 1.0,
) -> Generator:
    """The generator of a configuration of the group ``generator``, of samples of ``image_shape``.

    ``bounds``: the range that all data lies in, where it is known. With ``output=auto``, (0, 1)
    gives a sigmoid at the end, anything else a linear map. Of that, ``centre`` [*image_shape] is
    the data's, zero where it is not given, and ``spread`` the size of the data about it.

    Raises:
        UsageError: this kind cannot make samples of this shape.

    Example:
        >>> from lipsort_cli.config.wgan import MlpGenerator
        >>> build_generator(MlpGenerator(), (1, 8, 8)).latent
        64
    """
    bounded = config.output == "sigmoid" or (config.output == "auto" and bounds == (0.0, 1.0))
    body, latent = BUILDERS[config.name](config, image_shape), config.latent
    return Generator(body, latent, image_shape, bounded=bounded, centre=centre, spread=spread)


@torch.no_grad()
def sample(generator: Generator, count: int, seed: int, batch: int = 500) -> Tensor:
    """``count`` samples [count, *shape], float32 on the CPU, in evaluation mode.

    The noise is drawn by a generator of random numbers of its own, so that the same seed gives the
    same samples, whatever ``batch`` is up to the order of sums, and nothing else is disturbed.
    """
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, generator.latent, generator=random)
    device = generator.spread.device
    with evaluating(generator):
        parts = [generator(z.to(device)).cpu() for z in noise.split(batch)]
    return torch.cat(parts) if parts else torch.empty(0, *generator.shape)


def save_generator(
    path: str | os.PathLike[str], generator: Generator, config: GeneratorBase
) -> None:
    """Write ``generator.safetensors`` atomically: weights, and in the header how to build it.

    Raises:
        LipsortError: the file cannot be written.
    """
    shape = {"shape": list(generator.shape), "bounded": generator.bounded}
    header = {"format": _FORMAT, "config": asdict(config), **shape}
    state = generator.state_dict()
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    write_atomic(Path(path), save(tensors, metadata={"lipsort_generator": json.dumps(header)}))


def load_generator(path: str | os.PathLike[str]) -> Generator:
    """The generator of a file that :func:`save_generator` wrote, in evaluation mode on the CPU.

    Raises:
        LipsortError: no such file, not a generator of lipsort, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise LipsortError(f"{path}: no such file; a run of `lipsort wgan` holds one")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("lipsort_generator", "null"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise LipsortError(f"{path}: not a safetensors file, or a damaged one ({error})") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise LipsortError(f"{path}: no generator of `lipsort wgan` (expected {_FORMAT})")
    try:
        config: Any = GROUPS["generator"][header["config"]["name"]](**header["config"])
        shape = [int(side) for side in header["shape"]]
        body, bounded = BUILDERS[config.name](config, shape), bool(header["bounded"])
        generator = Generator(body, int(config.latent), shape, bounded=bounded)
        generator.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise LipsortError(
            f"{path}: a damaged generator ({first_line(error)}); train it again"
        ) from error
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise LipsortError(f"{path}: a damaged generator (it holds NaN or infinite weights)")
    return generator.eval()
