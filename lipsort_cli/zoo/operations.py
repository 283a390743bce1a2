"""A network's plain form: each layer's entry in it, and the file that holds it."""

from __future__ import annotations

import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import write_atomic
from lipsort_cli.layers import (
    AbsoluteValue,
    AveragePool,
    Concatenate,
    Convolution,
    Dense,
    FullSort,
    GroupSort,
    L2Pool,
    Maxout,
    MaxPool,
    Normalize,
    Residual,
    Scale,
    Select,
    Sum,
    TransposedConvolution,
)
from lipsort_cli.layers.base import evaluating
from lipsort_cli.layers.distance import Distance
from lipsort_cli.layers.extension import Extension
from lipsort_cli.layers.order import Versus, WeightedOrder
from lipsort_cli.zoo.network import Network

Graph = dict[str, Any]


def _hex(values: Tensor) -> list[str]:
    return [float(value).hex() for value in values]


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32).contiguous().clone()


class NoPlainForm(LipsortError, TypeError):
    """A layer that the verifier has no operation for: nothing can be proven of its network."""


class Altered(NoPlainForm):
    """A layer of a known kind that computes something of its own."""


class Writer:
    """Collects the operations of layers and their tensors, following the shape of one input."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def operations(
        self, layers: Iterable[nn.Module], prefix: str, x: Tensor
    ) -> tuple[list[Graph], Tensor]:
        """Entries of ``layers``, and what they make of ``x`` [1, ...].

        A layer of a plugin may have a method ``plain_layers``, which returns layers from here that
        compute the same: these stand for it. Dropout, which does nothing outside training, has no
        operation; layers in a row are taken one by one. Tensors are called ``<prefix>.<i>.weight``,
        i counting the operations.

        Raises:
            NoPlainForm: nothing is known of a layer, or it is not what its kind is.
        """
        found: list[Graph] = []
        waiting = deque(layers)
        while waiting:
            layer = waiting.popleft()
            _refuse_foreign(layer)
            if isinstance(layer, nn.Dropout):
                continue
            if isinstance(layer, nn.Sequential):
                waiting.extendleft(reversed(layer))
                continue
            if plain := getattr(layer, "plain_layers", None):
                waiting.extendleft(reversed(_checked(layer, list(plain()), x)))
                continue
            found += self._layer(layer, f"{prefix}.{len(found)}", x)
            x = layer(x)
        return found, x

    def _layer(self, layer: nn.Module, name: str, x: Tensor) -> list[Graph]:
        match layer:
            case Dense():
                return [{"op": "dense", **self._weights(name, layer.weight, layer.bias)}]
            case Distance():
                weights = self._weights(name, layer.weight, layer.bias)
                return [{"op": "distance", **weights, "decay": layer.decay.hex()}]
            case WeightedOrder():
                return [{"op": "order_statistic", **self._weights(name, *layer.plain())}]
            case Versus():
                return self._versus(layer, name)
            case Extension():
                weights = self._weights(name, layer.centres, layer.bias)
                return [{"op": "extension", **weights}]
            case Convolution() | TransposedConvolution():
                shape, transposed = layer.geometry, isinstance(layer, TransposedConvolution)
                entry = {
                    "op": "transposed_convolution" if transposed else "convolution",
                    **self._weights(name, layer.weight, layer.bias),
                    "stride": shape.stride,
                    "padding": shape.padding,
                    "dilation": shape.dilation,
                    "groups": shape.groups,
                }
                return [entry if transposed else {**entry, "padding_mode": shape.padding_mode}]
            case Residual():
                inner, _ = self.operations([layer.layers], f"{name}.layers", x)
                factors = {"skip": float(layer.skip).hex(), "branch": float(layer.branch).hex()}
                return [{"op": "residual", "layers": inner, **factors}]
            case Sum() | Concatenate():
                branches = [
                    self.operations([branch], f"{name}.branches.{b}", x)[0]
                    for b, branch in enumerate(layer.branches)
                ]
                return [{"op": type(layer).__name__.lower(), "branches": branches}]
            case Select():
                weights = self._weights(name, layer.places, None)
                return [{"op": "select", "weight": weights["weight"], "shape": [*layer.shape]}]
            case AveragePool():
                pool = {"op": "average_pool", "kernel": layer.kernel, "stride": layer.stride}
                # The scale of a normalized mean is an operation of its own.
                scale = {"op": "scale", "factor": layer.scale.hex()}
                return [pool] if layer.scale == 1.0 else [pool, scale]
        return [_without_weights(layer, x)]

    def _versus(self, layer: Versus, name: str) -> list[Graph]:
        """f_y = -max_k(-g_yk): gates of pairs, both signs of each, the largest for each class."""
        prefix, first = name.rsplit(".", 1)
        at = [f"{prefix}.{int(first) + step}" for step in range(4)]
        classes = len(layer.offset)
        return [
            {"op": "order_statistic", **self._weights(at[0], *layer.whole())},
            {"op": "dense", **self._weights(at[1], layer.losses(), None)},
            {"op": "maxout", "group_size": classes - 1},
            {"op": "dense", **self._weights(at[3], -torch.eye(classes), None)},
        ]

    def _weights(self, name: str, weight: Tensor, bias: Tensor | None) -> Graph:
        self.tensors[f"{name}.weight"] = _plain(weight)
        if bias is not None:
            self.tensors[f"{name}.bias"] = _plain(bias)
        return {"weight": f"{name}.weight", "bias": None if bias is None else f"{name}.bias"}


_OWNERS = ("lipsort_cli", "torch")
"""Packages whose layers are known."""
_WAY_OUT = ", or with a method plain_layers() that returns layers of lipsort's that do the same"
_HARMLESS = {"__init__", "__repr__", "extra_repr", "__doc__", "__module__", "__dict__"}
_HARMLESS |= {"__weakref__", "__annotations__", "__parameters__", "__orig_bases__", "__slots__"}
_HARMLESS |= {"__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl"}
"""What a subclass, or an instance, may have of its own without computing anything else."""


def _refuse_foreign(layer: nn.Module) -> None:
    """Refuse what makes another layer of one than its kind says: it would not be in the plain form.

    Raises:
        Altered: it has hooks, parametrizations from elsewhere, or members of its kind replaced, by
            its class (unless that has ``plain_layers``) or in the instance.
    """
    held = layer._modules.get("parametrizations") if parametrize.is_parametrized(layer) else None
    kinds = type(layer).__mro__[held is not None :]  # torch makes a class of each that it alters
    known = [kind for kind in kinds if kind.__module__.partition(".")[0] in _OWNERS]
    members = {name for kind in known for name in vars(kind)} - _HARMLESS
    own = [name for name in vars(layer) if name in members and callable(vars(layer)[name])]
    way_out = ""
    if not hasattr(layer, "plain_layers"):
        foreign = (kind for kind in kinds if kind not in known and kind is not object)
        named = [name for kind in foreign for name in vars(kind) if name in members]
        own, way_out = own + named, _WAY_OUT if named else ""
    faults = [f"its own {name}" for name in own]
    faults += ["forward hooks"] * bool(layer._forward_hooks)
    faults += ["forward pre-hooks"] * bool(layer._forward_pre_hooks)
    for part in held.modules() if held is not None else ():
        if type(part).__module__.partition(".")[0] not in _OWNERS:
            faults.append(f"the parametrization {type(part).__name__}")
    if faults:
        raise Altered(
            f"layer {type(layer).__name__}: found with {', '.join(faults)}, which makes it another "
            f"layer than its kind; allowed: one of lipsort's as it is{way_out}"
        )


def _checked(layer: nn.Module, plain: list[nn.Module], x: Tensor) -> list[nn.Module]:
    """``plain``, if it computes what ``layer`` does, at random inputs of the shape of ``x``."""
    probe = torch.randn(16, *x.shape[1:], generator=torch.Generator().manual_seed(0)).to(x)
    there, here = layer(probe), nn.Sequential(*plain).to(x.device)(probe)
    if there.shape != here.shape or not torch.allclose(there, here, rtol=1e-5, atol=1e-5):
        raise NoPlainForm(
            f"layer {type(layer).__name__}: what its plain_layers() compute differs from what it "
            "computes itself; make them compute the same"
        )
    return plain


def _without_weights(layer: nn.Module, x: Tensor) -> Graph:
    """The graph's entry of a layer without weights."""
    if isinstance(layer, GroupSort | FullSort | Maxout) and layer.dim % x.dim() != 1:
        raise TypeError(
            f"found {type(layer).__name__} over axis {layer.dim} of {list(x.shape)}; the plain "
            "form has groups of channels, axis 1"
        )
    for kind, entry in _PLAIN.items():
        if isinstance(layer, kind):
            return entry(layer, x)
    raise NoPlainForm(
        f"layer {type(layer).__name__}: the verifier has no operation for it, and takes none from "
        "elsewhere, so nothing can be proven of its network; what can be composed of lipsort's own "
        "layers can be, by a method plain_layers() that returns them"
    )


def _ends(layer: nn.Hardtanh, _: Tensor) -> Graph:
    ends = {"low": layer.min_val, "high": layer.max_val}
    spelled = {k: float(v).hex() if math.isfinite(v) else None for k, v in ends.items()}
    return {"op": "clip", **spelled}


def _named(op: str, **attributes: str) -> Callable[[Any, Tensor], Graph]:
    """Entries that hold attributes of a layer, as numbers spelled exactly where they are floats."""

    def entry(layer: Any, _: Tensor) -> Graph:
        found = {key: getattr(layer, name) for key, name in attributes.items()}
        return {"op": op, **{k: v.hex() if isinstance(v, float) else v for k, v in found.items()}}

    return entry


_PLAIN: dict[type[nn.Module], Callable[[Any, Tensor], Graph]] = {
    nn.Flatten: _named("flatten"),
    Normalize: lambda one, _: {"op": "normalize", "mean": _hex(one.mean), "std": _hex(one.std)},
    GroupSort: _named("groupsort", group_size="group_size"),
    FullSort: lambda _, x: {"op": "groupsort", "group_size": x.shape[1]},
    Maxout: _named("maxout", group_size="group_size"),
    Scale: _named("scale", factor="factor"),
    nn.PixelUnshuffle: _named("space_to_depth", block="downscale_factor"),
    nn.PixelShuffle: _named("depth_to_space", block="upscale_factor"),
    MaxPool: _named("max_pool", kernel="kernel", stride="stride"),
    L2Pool: _named("l2_pool", kernel="kernel", stride="stride"),
    nn.ReLU: _named("relu"),
    nn.Hardtanh: _ends,
    nn.LeakyReLU: lambda one, _: {"op": "leaky_relu", "slope": float(one.negative_slope).hex()},
    AbsoluteValue: _named("abs"),
    nn.Tanh: _named("tanh"),
    nn.Sigmoid: _named("sigmoid"),
    nn.Identity: _named("identity"),
}
"""Entries of layers without weights, by the layer's kind."""


@torch.no_grad()
def network_graph(network: Network) -> tuple[Graph, dict[str, Tensor]]:
    """The operations of ``network`` and its tensors, constraints applied.

    Returns:
        The graph (JSON-ready) and float32 tensors ``layers.<i>.weight`` [out, in, ...] and
        ``layers.<i>.bias`` [out] on the CPU, <i> counting the graph's operations; inside a
        container ``layers.<i>.layers.<k>.weight`` (residual) or
        ``layers.<i>.branches.<b>.<k>.weight`` (concatenate). Dropout, which does nothing outside
        training, has no operation.
    """
    writer = Writer()
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    kind = next((p.dtype for p in network.parameters()), torch.float32)
    probe = torch.zeros(1, *network.input_shape, device=device, dtype=kind)
    with evaluating(network):
        operations, _ = writer.operations(network, "layers", probe)
    shape = {"input_shape": list(network.input_shape), "classes": network.outputs}
    graph = {"format": "lipsort-graph", "version": 1, **shape, "layers": operations}
    return graph, writer.tensors


def network_bytes(network: Network) -> bytes:
    """The content of ``model.safetensors``: plain weights, the graph in the header."""
    graph, tensors = network_graph(network)
    return save(tensors, metadata={"lipsort_graph": json.dumps(graph)})


def save_network(network: Network, path: str | os.PathLike[str]) -> None:
    """Write ``model.safetensors`` atomically."""
    write_atomic(Path(path), network_bytes(network))
