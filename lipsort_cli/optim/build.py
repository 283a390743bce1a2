"""From a network and a configuration to an optimizer."""

from __future__ import annotations

from typing import Any

from torch import nn

from lipsort_cli.layers import ConstrainedLayer
from lipsort_cli.optim.optimizer import MANIFOLD_RULES, Group, Stiefel


def build_optimizer(network: nn.Module, config: Any) -> Stiefel:
    """Parameter groups of ``network`` by the constraints of its layers.

    Args:
        network: any module; its :class:`~lipsort_cli.layers.ConstrainedLayer` are looked at.
        config: an optimizer's configuration: ``name`` (stiefel, stiefel_adam, adam, sgd, aggmo)
            and its fields. With ``stiefel``, orthonormal weights move on the manifold and the rest
            by ``config.rest``; with ``stiefel_adam`` they do, and the rest moves by Adam with the
            same settings; with another name everything moves by it and is brought back into its
            set afterwards.

    Returns:
        The optimizer; retractions of the constraints are part of its step.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, ConstrainedLayer)]
    manifold: list[nn.Parameter] = []
    if config.name in MANIFOLD_RULES:
        manifold = [parameter for layer in layers for parameter in layer.manifold()]
    chosen = {id(parameter) for parameter in manifold}
    rest = [p for p in network.parameters() if id(p) not in chosen and p.requires_grad]
    groups: list[Group] = []
    if manifold:
        groups.append({"params": manifold, **_manifold_options(config)})
    # Logits of a softmax take steps that would be far too long for a bias.
    bias_lr = getattr(config, "bias_lr", None)
    vectors = [p for p in rest if p.dim() < 2] if bias_lr is not None else []
    apart = {id(parameter) for parameter in vectors}
    rest = [p for p in rest if id(p) not in apart]
    if rest:
        groups.append({"params": rest, **_rest_options(config)})
    if vectors:
        groups.append({"params": vectors, **_rest_options(config), "lr": bias_lr})
    optimizer = Stiefel(groups)
    for layer in layers:
        moved_here = layer.manifold()
        if not moved_here or id(moved_here[0]) not in chosen:
            optimizer.after_step.append(layer.retract_)
    return optimizer


def _manifold_options(config: Any) -> Group:
    options: Group = {"rule": config.name, "lr": config.lr}
    if config.name == "stiefel_adam":
        options["betas"] = (config.beta1, config.beta2)
    else:
        for key in ("momentum", "polar_steps", "interval"):
            options[key] = getattr(config, key)
    return options


def _rest_options(config: Any) -> Group:
    if config.name == "stiefel":
        options: Group = {"rule": config.rest, "lr": config.rest_lr}
        if config.rest == "aggmo":
            options["betas"] = (0.0, 0.9, 0.99)
    else:
        rule = "adam" if config.name == "stiefel_adam" else config.name
        options = {"rule": rule, "lr": config.lr}
        if rule == "adam":
            options["betas"] = (config.beta1, config.beta2)
        elif rule == "sgd":
            options["momentum"] = config.momentum
        elif rule == "aggmo":
            options["betas"] = tuple(config.betas)
    return {**options, "weight_decay": config.weight_decay}
