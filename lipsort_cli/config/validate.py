"""Rules between fields, and all faults together: everything that types alone do not say.

Ranges are in :mod:`lipsort_cli.config.ranges`.

Every check returns messages instead of raising, so that all faults are reported together.
Torch-free; a rule that needs the data (number of classes, image size) belongs to the command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from lipsort_cli.config.certificates import ARITHMETIC_NAMES, REFUSED_ARITHMETICS
from lipsort_cli.config.distance import DISTANCE_MODELS, distance_faults, distance_warnings
from lipsort_cli.config.distributions import OF_IMAGES
from lipsort_cli.config.gan import gan_faults
from lipsort_cli.config.models import IMAGE_MODELS
from lipsort_cli.config.ranges import out_of_range
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.config.wasserstein import critic_faults

L2_CONSTRAINTS = ("orthonormal", "bjorck", "spectral", "parseval", "aol")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def faults(config: Any) -> list[str]:
    """All faults of a configuration: values out of range first, then rules between fields."""
    found = list(out_of_range(config))
    for rule in RULES:
        found.extend(rule(config))
    return found


# --- rules between fields ---------------------------------------------------------------------


def _name_matches_type(config: Any) -> Iterator[str]:
    for group, options in GROUPS.items():
        node = getattr(config, group, None)
        if is_dataclass(node) and options.get(getattr(node, "name", "")) is not type(node):
            yield (
                f"{group}.name: found {getattr(node, 'name', None)!r}; it is set by the choice "
                f"of {group}={'|'.join(sorted(options))}, not by hand"
            )


def _widths_divide(config: Any) -> Iterator[str]:
    model = getattr(config, "model", None)
    size = getattr(getattr(config, "activation", None), "group_size", None)
    name = getattr(getattr(config, "activation", None), "name", None)
    if name == "maxmin":
        size = 2
    for key in ("channels", "widths"):
        widths = getattr(model, key, None)
        if not isinstance(widths, list) or not isinstance(size, int) or size < 1:
            continue
        for position, width in enumerate(widths):
            if isinstance(width, int) and width % size:
                lower = width - width % size
                nearest = f"{lower} or {lower + size}" if lower else f"{size}"
                yield (
                    f"model.{key}[{position}]: found {width}, which activation={name} cannot "
                    f"split into groups of {size}; nearest: {nearest}"
                )


def _widths_given(config: Any) -> Iterator[str]:
    widths = getattr(getattr(config, "model", None), "widths", None)
    if widths == [] and getattr(getattr(config, "model", None), "dropout", 0.0) > 0:
        yield "model.dropout: a network without hidden layers (model.widths=[]) has none"


def _images(config: Any) -> Iterator[str]:
    """Rules of convolutional networks."""
    model: Any = getattr(config, "model", None)
    name = getattr(model, "name", None)
    if name not in IMAGE_MODELS:
        return
    pair = getattr(getattr(config, "distribution", None), "name", None)
    if pair is not None and pair not in OF_IMAGES:
        allowed_models = ", ".join(sorted(set(GROUPS["model"]) - set(IMAGE_MODELS)))
        yield f"model: found {name}, whose inputs are images, not points; allowed: {allowed_models}"
    if pair in OF_IMAGES and getattr(config, "norm", "l2") != "l2":
        yield (
            f"norm: found {config.norm} with model={name}; convolutional critics are for norm=l2"
        )
    if not model.channels:
        yield "model.channels: found []; allowed: at least one stage, such as [32, 64]"
    even = name == "dcgan_critic"
    if isinstance(model.kernel, int) and model.kernel % 2 == even:
        kind = "even" if even else "odd"
        near = f"{model.kernel - 1} or {model.kernel + 1}"
        yield f"model.kernel: found {model.kernel}; model={name} takes {kind} kernels: {near}"
    activation = getattr(getattr(config, "activation", None), "name", None)
    if name == "residual_cnn" and activation == "maxout":
        yield (
            "activation: found maxout with model=residual_cnn, whose blocks keep the number of "
            "channels; maxout divides it: choose maxmin or groupsort"
        )


def _one_cycle_warmup(config: Any) -> Iterator[str]:
    schedule = getattr(config, "schedule", None)
    warmup = getattr(schedule, "warmup", 0)
    if getattr(schedule, "name", None) == "one_cycle" and warmup > 0:
        yield (
            f"schedule.warmup: found {warmup}; schedule=one_cycle brings its own "
            "warm-up: leave it at 0, or choose schedule=cosine"
        )


def _milestones_rise(config: Any) -> Iterator[str]:
    milestones = getattr(getattr(config, "schedule", None), "milestones", None)
    if milestones is not None and any(b <= a for a, b in pairwise(milestones)):
        yield f"schedule.milestones: found {milestones}; allowed: increasing shares of the run"


def _radii_rise(config: Any) -> Iterator[str]:
    for key, node in (("evaluation.eps", getattr(config, "evaluation", None)), ("eps", config)):
        radii = getattr(node, "eps", None)
        if radii is None:
            continue
        if not radii:
            yield f"{key}: found []; allowed: at least one radius, such as [1.58]"
        elif any(b <= a for a, b in pairwise(radii)):
            yield f"{key}: found {radii}; allowed: increasing radii, each one once"


_NEVER_EMPTY = (
    "optimizer.betas",
    "methods",
    "formats",
    *(
        f"distribution.{name}"
        for name in ("p", "q", "p_means", "q_means", "p_weights", "q_weights")
    ),
)
_EACH_ONCE = ("methods", "formats")


def _lists_are_sound(config: Any) -> Iterator[str]:
    for key in _NEVER_EMPTY:
        value = config
        for part in key.split("."):
            value = getattr(value, part, None)
        if not isinstance(value, list):
            continue
        if not value:
            yield f"{key}: found []; allowed: at least one element"
        elif key in _EACH_ONCE and len(set(value)) < len(value):
            yield f"{key}: found {value}; allowed: each one once"


def _device_exists(config: Any) -> Iterator[str]:
    device = getattr(config, "device", None)
    if isinstance(device, str) and not _DEVICE.fullmatch(device):
        yield f"device: found {device!r}; allowed: auto, cpu, cuda, cuda:N, mps"


def _arithmetic_known(config: Any) -> Iterator[str]:
    name = getattr(config, "arithmetic", None)
    if isinstance(name, str) and name not in ARITHMETIC_NAMES:
        reason = REFUSED_ARITHMETICS.get(name)
        yield (
            f"arithmetic: found {name!r}; allowed: {', '.join(ARITHMETIC_NAMES)}"
            + (f" ({reason})" if reason else "")
        )


RULES: tuple[Callable[[Any], Iterator[str]], ...] = (
    _name_matches_type,
    _widths_divide,
    _widths_given,
    _images,
    _one_cycle_warmup,
    _milestones_rise,
    _radii_rise,
    _lists_are_sound,
    _device_exists,
    distance_faults,
    critic_faults,
    gan_faults,
    _arithmetic_known,
)
"""Every rule takes a whole configuration and passes over the fields that it does not have."""


def warnings(config: Any) -> list[str]:
    """What is allowed but seldom meant."""
    if getattr(getattr(config, "model", None), "name", None) in DISTANCE_MODELS:
        return list(distance_warnings(config))
    found = []
    norm = getattr(getattr(config, "evaluation", None), "norm", None)
    constraint = getattr(getattr(config, "constraint", None), "name", None)
    if norm == "linf" and constraint in L2_CONSTRAINTS:
        found.append(
            f"evaluation.norm=linf with constraint={constraint}, which bounds the L2 norm: "
            "certificates will be weak; constraint=linf is made for it"
        )
    if norm == "l2" and constraint == "linf":
        found.append(
            "evaluation.norm=l2 with constraint=linf, which bounds the L-infinity norm: "
            "certificates will be weak; add evaluation.norm=linf"
        )
    if constraint == "none":
        found.append(
            "constraint=none: the network's Lipschitz constant is whatever training makes it; "
            "certificates will be weak"
        )
    return [*found, *_without_effect(config)]


def _without_effect(config: Any) -> Iterator[str]:
    """Keys that this combination of options does not read."""
    constraint: Any = getattr(config, "constraint", None)
    name = getattr(constraint, "name", None)
    optimizer: Any = getattr(config, "optimizer", None)
    if getattr(optimizer, "name", None) == "stiefel" and name not in (None, "orthonormal"):
        yield (
            f"optimizer=stiefel with constraint={name}: no weight moves on the manifold, all move "
            f"by optimizer.rest={optimizer.rest} at optimizer.rest_lr={optimizer.rest_lr:g}; "
            "optimizer.lr, momentum, polar_steps and interval have no effect: set "
            "optimizer.rest_lr, or choose optimizer=adam"
        )
    construction = _fields_default(getattr(config, "model", None), "convolution")
    if name not in (None, "orthonormal") and construction is not None:
        found = config.model.convolution
        if found != construction:
            yield (
                f"model.convolution={found} has no effect with constraint={name}; it chooses "
                "between the kernels of constraint=orthonormal"
            )
    sharpness = _fields_default(constraint, "sharpness")
    if getattr(constraint, "method", None) == "projection" and constraint.sharpness != sharpness:
        yield (
            f"constraint.sharpness={constraint.sharpness:g} has no effect with "
            "constraint.method=projection; it shapes constraint.method=softmax"
        )


def _fields_default(node: Any, name: str) -> Any:
    entries = fields(node) if is_dataclass(node) else ()
    return next((entry.default for entry in entries if entry.name == name), None)
