"""Training that starts from the weights of another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from lipsort_cli.console import plural
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import ConstrainedLayer, Dense, ReshapedConvolution
from lipsort_cli.layers.constraints import Constraint
from lipsort_cli.verifier.graph import Network as Saved

_ROUNDED = 1e-5
"""What a product of a layer's parameters may differ by from machine to machine."""


def start_from(
    network: nn.Module, saved: Saved, name: str, trained: Callable[[], Mapping[str, Tensor]]
) -> None:
    """Give the layers of ``network`` the weights of ``saved``, layer by layer, and its biases.

    A weight outside a layer's set, as that of a run under a looser constraint, is replaced by the
    nearest one where the set has such a projection: fine-tuning begins there. Where a weight does
    not tell its parameters, as a product of several, those of ``trained`` are taken: what the run
    trained, by their names.

    Raises:
        UsageError: the layers are others, or a set has no parameter of a weight; ``name`` is the
            run that the message speaks of.
    """
    own = [(n, one) for n, one in network.named_modules() if isinstance(one, ConstrainedLayer)]
    given = [layer for layer in saved.walk() if layer.weight is not None]
    trained = cache(trained)
    for number, ((key, layer), source) in enumerate(zip(own, given, strict=False), start=1):
        weight = torch.from_numpy(source.weight.copy()).float()  # type: ignore[union-attr]
        where = f"start: weight {number} of {name}, {list(weight.shape)}"
        if layer.weight.shape != weight.shape or (layer.bias is None) != (source.bias is None):
            raise UsageError(
                f"{where}, bias {source.bias is not None}, is none of this network: its weight "
                f"there is {list(layer.weight.shape)}, bias {layer.bias is not None}"
            )
        if isinstance(layer, Dense | ReshapedConvolution):
            _give(layer, weight, where)
        else:
            _copy(layer, key, trained(), weight, where)
        if layer.bias is not None:
            layer.bias.data.copy_(torch.from_numpy(source.bias.copy()))  # type: ignore[union-attr]
    if len(own) != len(given):
        raise UsageError(
            f"start: {name} has {plural(len(given), 'layer')} with weights, this network {len(own)}"
        )


@torch.no_grad()
def _copy(
    layer: ConstrainedLayer, key: str, trained: Mapping[str, Tensor], weight: Tensor, where: str
) -> None:
    kind = type(layer).__name__
    for name, parameter in layer.named_parameters():
        value = trained.get(f"{key}.{name}")
        if value is None or value.shape != parameter.shape:
            raise UsageError(
                f"{where}: {kind} cannot be made from a weight, and the run's checkpoint holds no "
                f"{key}.{name} {list(parameter.shape)}; give both the same model and constraint, "
                "and keep the run's checkpoint folder"
            )
        parameter.copy_(value)
    if not torch.allclose(layer.weight, weight, atol=_ROUNDED):
        raise UsageError(
            f"{where}: {kind} makes another weight of the parameters in the run's checkpoint; give "
            "both the same constraint"
        )


@torch.no_grad()
def _give(layer: Dense | ReshapedConvolution, weight: Tensor, where: str) -> None:
    pairs = layer.constrained()
    if isinstance(layer, ReshapedConvolution):
        weight = weight / layer.factor
    for (own, parameter), part in zip(pairs, weight.flatten(1).chunk(len(pairs)), strict=True):
        parameter.copy_(_parameter(own, part, parameter, where))


def _parameter(own: Constraint, weight: Tensor, like: Tensor, where: str) -> Tensor:
    try:
        return own.right_inverse(weight)
    except ValueError as error:
        if own.kept_within is None or like.shape != weight.shape:
            raise UsageError(f"{where}: {error}") from error
    nearest = weight.clone()
    own.retract_(nearest)
    return nearest
