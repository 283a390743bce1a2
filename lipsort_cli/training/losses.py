"""Losses that ask for a margin between logits.

A network of Lipschitz constant 1 has bounded slopes: it can only be robust where the true logit is
ahead by a margin, so each loss here says how large a margin it asks for, in units of logits. With
orthonormal head rows, a margin of m certifies the L2 radius m / sqrt(2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from lipsort_cli.config.plugins import made
from lipsort_cli.config.registry import Option
from lipsort_cli.errors import UsageError
from lipsort_cli.layers.margins import worst_margin

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits [N, C] and labels [N] to a scalar: the mean over the batch."""


def cross_entropy(logits: Tensor, labels: Tensor, temperature: float, margin: float) -> Tensor:
    """Softmax cross-entropy of T (f - m e_y), divided by T.

    ``temperature`` T sharpens it (towards a hinge), ``margin`` m is taken from the true logit.
    """
    offset = margin * functional.one_hot(labels, logits.shape[1])
    return functional.cross_entropy(temperature * (logits - offset), labels) / temperature


def multi_margin(logits: Tensor, labels: Tensor, margin: float) -> Tensor:
    """The paper's hinge over all classes: mean_j max(0, m - (f_y - f_j)), j other than y."""
    return functional.multi_margin_loss(logits, labels, margin=margin)


def worst_class_hinge(logits: Tensor, labels: Tensor, margin: float) -> Tensor:
    """max(0, m - (f_y - max_{j != y} f_j)): only the nearest wrong class counts."""
    return functional.relu(margin - worst_margin(logits, labels)).mean()


def certified_ramp(
    logits: Tensor, labels: Tensor, margin: float, target: float, sharpness: float, weight: float
) -> Tensor:
    """Worst-class hinge, plus ``weight`` times a smooth count of what is not certified.

    The count is the mean of sigmoid((t - (f_y - max_{j != y} f_j)) / s) with ``target`` t and
    ``sharpness`` s: about 1 below the margin t, about 0 above. It gives up on hopeless examples,
    which a hinge spends most of its gradient on.
    """
    ahead = worst_margin(logits, labels)
    missing = torch.sigmoid((target - ahead) / sharpness)
    return (functional.relu(margin - ahead) + weight * missing).mean()


def hkr(logits: Tensor, labels: Tensor, margin: float, alpha: float) -> Tensor:
    """Hinge-Kantorovich-Rubinstein loss, one class against the others.

    -mean(f_y - mean_{j != y} f_j) + alpha * worst-class hinge (Serrurier et al., CVPR 2021).
    """
    true = logits.gather(1, labels[:, None])[:, 0]
    others = (logits.sum(1) - true) / (logits.shape[1] - 1)
    return alpha * worst_class_hinge(logits, labels, margin) - (true - others).mean()


def logit_annealing(
    logits: Tensor, labels: Tensor, temperature: float, offset: float, focus: float
) -> Tensor:
    """-T (1 - p_y)^gamma log p_y with p = softmax((f - xi e_y) / T): each example's share fades.

    ``temperature`` T, ``offset`` xi, ``focus`` gamma. Margins are asked for without end by
    cross-entropy; here an example stops to count when it is far ahead, so that a network of few
    degrees of freedom spends them on others (Lai et al., "Enhancing Certified Robustness via Block
    Reflector Orthogonal Layers and Logit Annealing Loss", ICML 2025).
    """
    ahead = offset * functional.one_hot(labels, logits.shape[1])
    log_p = -functional.cross_entropy((logits - ahead) / temperature, labels, reduction="none")
    # 1 - p without cancellation; its root of any order has a slope everywhere.
    missing = -torch.expm1(log_p)
    tiny = torch.finfo(logits.dtype).tiny
    return -temperature * (missing.clamp_min(tiny) ** focus * log_p).mean()


def emma(logits: Tensor, labels: Tensor, temperature: float, margin: float) -> Tensor:
    """Cross-entropy in which each other class j is raised by min(m, f_y - f_j), if positive.

    Every class is moved towards the true one, up to the ``margin`` m asked for but no further than
    to a tie, so that all classes that could become rivals are pushed away at once; the raise is
    taken as constant (Hu et al., "Unlocking Deterministic Robustness Certification on ImageNet",
    NeurIPS 2023). ``temperature`` as in :func:`cross_entropy`.
    """
    true = logits.gather(1, labels[:, None])
    raised = logits + (true - logits).clamp(0, margin).detach()
    return functional.cross_entropy(temperature * raised, labels) / temperature


_ALL = (
    cross_entropy, multi_margin, worst_class_hinge, certified_ramp, hkr, logit_annealing, emma
)  # fmt: skip
LOSSES: dict[str, Callable[..., Tensor]] = {loss.__name__: loss for loss in _ALL}
"""Losses by the name of their option, whose keys are what they take beside logits and labels."""


def _number(loss: Loss, name: str, logits: Tensor, labels: Tensor) -> Tensor:
    """A plugin's loss, held to be one number."""
    found = loss(logits, labels)
    if (shape := getattr(found, "shape", None)) != ():
        what = type(found).__name__ if shape is None else f"shape {list(shape)}"
        raise UsageError(f"loss={name}: found {what}; allowed: a tensor of one number, as a mean")
    return found


def build_loss(config: Option) -> Loss:
    """The loss of the configuration group ``loss``."""
    if (loss := made(config, Callable)) is not None:
        return partial(_number, cast(Loss, loss), config.name)
    options = {key: value for key, value in vars(config).items() if key != "name"}
    return partial(LOSSES[config.name], **options)
