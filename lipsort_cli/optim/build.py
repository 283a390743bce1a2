"""An optimizer for a network, and constraints kept under any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import SGD, Optimizer
from torch.utils.hooks import RemovableHandle

from lipsort_cli.arguments import shown
from lipsort_cli.config.learning import (
    AdamOptimizer,
    AggmoOptimizer,
    SgdOptimizer,
    StiefelAdamOptimizer,
    StiefelOptimizer,
)
from lipsort_cli.errors import ArgumentError
from lipsort_cli.layers import ConstrainedLayer
from lipsort_cli.optim.eager import eager
from lipsort_cli.optim.optimizer import AggMo, Combined, Group, Stiefel, StiefelAdam, adam

OptimizerConfig = (
    StiefelOptimizer | StiefelAdamOptimizer | AdamOptimizer | SgdOptimizer | AggmoOptimizer
)


def build_optimizer(network: nn.Module, config: OptimizerConfig | None = None) -> Optimizer:
    """An optimizer of all of ``network`` that keeps every constrained weight in its set.

    Args:
        network: any module; its :class:`~lipsort_cli.layers.ConstrainedLayer` are looked at. It is
            on its device already.
        config: which optimizer, with its settings; :class:`StiefelOptimizer` where None. With it
            and :class:`StiefelAdamOptimizer` orthonormal weights move on their manifold, and the
            rest by torch's; with the others everything moves by that one and is brought back into
            its set after each step.

    Raises:
        ArgumentError: the network has nothing to train.

    Example:
        >>> from lipsort_cli.layers import Dense
        >>> layer = Dense(5, 3)
        >>> optimizer = build_optimizer(layer, StiefelOptimizer(lr=0.05))
        >>> layer(torch.ones(2, 5)).sum().backward()
        >>> optimizer.step()
    """
    config = StiefelOptimizer() if config is None else config
    layers = _constrained(network)
    parts: list[Optimizer] = []
    manifold: list[nn.Parameter] = []
    if isinstance(config, StiefelOptimizer | StiefelAdamOptimizer):
        manifold = [parameter for layer in layers for parameter in layer.manifold()]
        layers = [layer for layer in layers if not layer.manifold()]
        parts += [_on_manifold(manifold, config)] if manifold else []
    chosen = {id(parameter) for parameter in manifold}
    rest = [p for p in network.parameters() if id(p) not in chosen and p.requires_grad]
    if rest:
        parts.append(_elsewhere(rest, config))
    if not parts:
        raise ArgumentError(
            f"network: found nothing to train in {type(network).__name__}; allowed: networks with "
            "parameters that require gradients"
        )
    optimizer = parts[0] if len(parts) == 1 else Combined(parts)
    if layers:
        _retract_after_steps(optimizer, layers)
    return optimizer


def keep_constraints(optimizer: Optimizer, network: nn.Module) -> RemovableHandle:
    """Bring every constrained weight of ``network`` back into its set after each step.

    For optimizers that know nothing of constraints, as torch's own: orthonormal weights are
    replaced by the nearest ones, rows are projected. :func:`build_optimizer` needs none of it.

    Args:
        optimizer: any of torch's kind.
        network: whose :class:`~lipsort_cli.layers.ConstrainedLayer` it moves.

    Returns:
        A handle whose ``remove()`` ends it.

    Raises:
        ArgumentError: the network has no constrained layer, or the optimizer moves none of them.

    Example:
        >>> from lipsort_cli.layers import Dense
        >>> layer = Dense(5, 3)
        >>> optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        >>> handle = keep_constraints(optimizer, layer)
        >>> layer(torch.ones(2, 5)).sum().backward()
        >>> optimizer.step()
        >>> layer.lipschitz("l2") < 1 + 1e-5
        True
    """
    layers = _constrained(network)
    if not layers:
        raise ArgumentError(
            f"network: found no layer with a constraint in {type(network).__name__}; allowed: "
            "networks with layers of lipsort_cli.layers"
        )
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(
            f"optimizer: found {shown(optimizer)}; allowed: an optimizer of torch's kind"
        )
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in moved for layer in layers for p in layer.parameters()):
        raise ArgumentError(
            "optimizer: found one that moves no parameter of a layer with a constraint; allowed: "
            "one of this network's parameters"
        )
    return _retract_after_steps(optimizer, layers)


def _constrained(network: nn.Module) -> list[ConstrainedLayer]:
    if not isinstance(network, nn.Module):
        raise ArgumentError(f"network: found {shown(network)}; allowed: a torch.nn.Module")
    return [layer for layer in network.modules() if isinstance(layer, ConstrainedLayer)]


def _retract_after_steps(
    optimizer: Optimizer, layers: Iterable[ConstrainedLayer]
) -> RemovableHandle:
    def retract(*_: Any) -> None:
        for layer in layers:
            layer.retract_()

    return optimizer.register_step_post_hook(retract)


def _on_manifold(
    weights: list[nn.Parameter], config: StiefelOptimizer | StiefelAdamOptimizer
) -> Optimizer:
    if isinstance(config, StiefelAdamOptimizer):
        return StiefelAdam(weights, config.lr, (config.beta1, config.beta2))
    keys = ("lr", "momentum", "polar_steps", "interval", "rank")
    return Stiefel(weights, **{key: getattr(config, key) for key in keys})


def _elsewhere(parameters: list[nn.Parameter], config: OptimizerConfig) -> Optimizer:
    """torch's optimizer of everything that does not move on the manifold."""
    decay = config.weight_decay
    match config:
        case StiefelOptimizer(rest="sgd"):
            return _sgd(parameters, config.rest_lr, 0.9, decay)
        case StiefelOptimizer(rest="aggmo"):
            return AggMo(parameters, config.rest_lr, weight_decay=decay)
        case StiefelOptimizer():
            return adam(parameters, lr=config.rest_lr, weight_decay=decay)
        case SgdOptimizer():
            return _sgd(parameters, config.lr, config.momentum, decay)
        case AggmoOptimizer():
            return AggMo(parameters, config.lr, config.betas, decay)
    groups: list[Group] = [{"params": parameters}]
    if isinstance(config, AdamOptimizer) and config.bias_lr is not None:
        # Logits of a softmax take steps that would be far too long for a bias.
        vectors = [p for p in parameters if p.dim() < 2]
        groups = [{"params": [p for p in parameters if p.dim() >= 2]}]
        groups += [{"params": vectors, "lr": config.bias_lr}]
        groups = [group for group in groups if group["params"]]
    betas = (config.beta1, config.beta2)
    return adam(groups, lr=config.lr, betas=betas, weight_decay=decay)


def _sgd(parameters: list[nn.Parameter], lr: float, momentum: float, decay: float) -> SGD:
    return eager(SGD)(parameters, lr, momentum, weight_decay=decay, nesterov=momentum > 0)
