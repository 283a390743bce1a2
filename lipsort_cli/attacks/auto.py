"""AutoAttack (Croce and Hein, ICML 2020), as its authors publish it, on networks of large margins.

Its standard version: APGD on the cross-entropy, APGD on the targeted DLR loss, FAB, and Square,
which needs no gradients. What it takes for granted is brought about first:

- Inputs in [0, 1]: they are scaled there, and the radius with them; where no range is known it is
  taken so wide that no perturbation within the radius reaches it.
- Logits about as large as those of a network trained with the cross-entropy. The gaps of a network
  with margins of 40 saturate the softmax in float32: the gradient loses the labelled class, and
  APGD on the cross-entropy looks as if gradients were masked. Logits are divided by one positive
  number, which changes no decision, and no other attack of the four.
- Four classes for the targeted DLR loss, three for the DLR loss, images for Square: where these are
  not given, the attack is left out.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from lipsort_cli.attacks.steps import expand
from lipsort_cli.errors import UsageError
from lipsort_cli.layers.margins import worst_margin

GAP = 10.0
"""Mean gap between the labelled and the best other class that logits are scaled to."""

INSIDE = 1 - 2.0**-20
"""Share of the radius that is attacked: float32 may end up that much outside."""

_NAMES = {"l2": "L2", "linf": "Linf", "l1": "L1"}


def autoattack(
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Tensor,
    eps: float,
    *,
    norm: str,
    bounds: tuple[float, float] | None,
    seed: int,
) -> tuple[Tensor, list[str]]:
    """Perturbed inputs ``[N, ...]`` within ``eps``, and what AutoAttack finds suspicious.

    As :func:`~lipsort_cli.attacks.pgd.pgd`; points that are wrong already stay as they are.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from pyautoattack import AutoAttack
    except ImportError:
        raise UsageError(
            "methods: found autoattack, which is not installed; pip install 'lipsort[attacks]'"
        ) from None
    low, high = bounds or (float(inputs.min()) - 2 * eps, float(inputs.max()) + 2 * eps)
    shape, dtype = inputs.shape[1:], inputs.dtype
    # An image is taken as it is; anything else as a row of pixels.
    image = shape if len(shape) == 3 else (1, 1, math.prod(shape))
    scale = _scale(network, inputs, labels)

    def scaled(pixels: Tensor) -> Tensor:
        raw = low + (high - low) * pixels.to(dtype)
        return (network(raw.reshape(-1, *shape)) / scale).float()

    flat = ((inputs - low) / (high - low)).clamp(0, 1).float().reshape(-1, *image)
    classes = int(network(inputs[:1]).shape[1])
    with _quiet(seed) as said:
        own = {"eps": INSIDE * eps / (high - low), "norm": _NAMES[norm], "seed": seed % 2**32}
        attack = AutoAttack(scaled, version="standard", **own)
        attack.attacks_to_run = _attacks(classes, image)
        attack.apgd_targeted.n_target_classes = min(
            attack.apgd_targeted.n_target_classes, classes - 1
        )
        attack.fab.n_target_classes = min(attack.fab.n_target_classes, classes - 1)
        found, _ = attack.run_standard_evaluation(flat, labels)
    raw = (low + (high - low) * found.to(dtype)).reshape(inputs.shape)
    # What was not moved is exactly where it was: scaling there and back rounds.
    moved = (found != flat).flatten(1).any(1)
    return torch.where(expand(moved, inputs), raw.clamp(low, high), inputs), said


def _attacks(classes: int, image: tuple[int, ...]) -> list[str]:
    """Those of the standard version that are defined for so many classes and such inputs."""
    targeted = ["apgd-t"] if classes > 3 else ["apgd-dlr"] if classes > 2 else []
    return ["apgd-ce", *targeted, "fab-t", *(["square"] if min(image[1:]) > 1 else [])]


@torch.no_grad()
def _scale(network: Callable[[Tensor], Tensor], inputs: Tensor, labels: Tensor) -> float:
    """What logits are divided by."""
    gap = float(worst_margin(network(inputs), labels).abs().mean()) / GAP
    return gap if 0 < gap < math.inf else 1.0


@contextmanager
def _quiet(seed: int) -> Iterator[list[str]]:
    """What AutoAttack warns of within the block; random states are as before afterwards."""
    said: list[str] = []

    def kept(record: logging.LogRecord) -> bool:
        words = record.getMessage().partition(" See ")[0].strip()
        if record.levelno >= logging.WARNING and words not in said:
            said.append(words)
        return False  # nobody else is told

    logger = logging.getLogger("auto-attack")
    logger.addFilter(kept)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield said
    finally:
        logger.removeFilter(kept)
