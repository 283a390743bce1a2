"""Singular values of the linear layers of a network, dense or convolutional."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

from lipsort_cli.layers.base import evaluating

EXPLICIT_SIDE = 1600
"""Smaller side up to which a convolution's operator is written out as a matrix."""
EXPLICIT_ENTRIES = 2**26
LARGEST = 24
"""How many singular values of a larger operator are computed, the largest ones."""
LINEAR = (nn.Linear, _ConvNd)
"""Layers that have singular values."""
_CHUNK = 128


@dataclass(frozen=True)
class Spectrum:
    """Singular values of a layer, descending; all of them unless ``complete`` is False."""

    name: str
    type: str
    shape: tuple[int, int]
    values: NDArray[np.float64]
    complete: bool = True


def run_once(network: nn.Module, inputs: Tensor, handles: list[RemovableHandle]) -> None:
    """Run ``network`` for what its hooks see, in evaluation mode; they are gone afterwards."""
    try:
        with evaluating(network):
            network(inputs)
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def layer_spectra(network: nn.Module, example: Tensor) -> list[Spectrum]:
    """Every ``nn.Linear`` and convolution of ``network``, in the order in which they are run.

    A convolution is taken as an operator on its whole padded input [C, H, W], which is not the norm
    of its reshaped kernel. ``example`` [1, ...] is an input, for the shapes.
    """
    met: list[tuple[str, nn.Module, Tensor, Tensor]] = []
    handles = [
        module.register_forward_hook(
            lambda m, args, out, name=name: met.append((name, m, args[0][:1], out[:1]))
        )
        for name, module in network.named_modules()
        if isinstance(module, LINEAR)
    ]
    run_once(network, example, handles)
    return [_spectrum(*entry) for entry in met]


def _spectrum(name: str, module: nn.Module, x: Tensor, y: Tensor) -> Spectrum:
    kind = type(module).__name__
    if isinstance(module, nn.Linear):
        values = torch.linalg.svdvals(module.weight.detach().double().cpu()).numpy()
        return Spectrum(name, kind, (module.out_features, module.in_features), values)
    inputs, outputs = math.prod(x.shape[1:]), math.prod(y.shape[1:])
    shape = (outputs, inputs)
    if min(shape) <= EXPLICIT_SIDE and inputs * outputs <= EXPLICIT_ENTRIES:
        return Spectrum(name, kind, shape, _all(module, x, y))
    return Spectrum(name, kind, shape, _largest(module, x, y), complete=False)


def _apply(module: nn.Module, x: Tensor) -> Tensor:
    """The linear part of an affine module."""
    return module(x) - module(torch.zeros_like(x[:1]))


def _transposed(module: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The transpose applied to rows ``y`` [k, ...]; ``x`` [1, ...] is for the shape."""
    with torch.enable_grad():
        at = torch.zeros((len(y), *x.shape[1:]), dtype=x.dtype, device=x.device, requires_grad=True)
        (found,) = torch.autograd.grad(module(at), at, y)
    return found


def _all(module: nn.Module, x: Tensor, y: Tensor) -> NDArray[np.float64]:
    inputs, outputs = math.prod(x.shape[1:]), math.prod(y.shape[1:])
    narrow = inputs <= outputs
    like = x if narrow else y
    side = min(inputs, outputs)
    identity = torch.eye(side, dtype=like.dtype, device=like.device)
    rows = []
    for part in identity.split(_CHUNK):
        shaped = part.reshape(len(part), *like.shape[1:])
        image = _apply(module, shaped) if narrow else _transposed(module, x, shaped)
        rows.append(image.flatten(1))
    matrix = torch.cat(rows)
    gram = torch.zeros((side, side), dtype=torch.float64)
    for part in matrix.split(4096, dim=1):
        wide = part.double().cpu()
        gram += wide @ wide.mT
    return torch.linalg.eigvalsh(gram).clamp_min(0).sqrt().flip(0).numpy()


def _largest(module: nn.Module, x: Tensor, y: Tensor) -> NDArray[np.float64]:
    from scipy.sparse.linalg import LinearOperator, svds

    inputs, outputs = math.prod(x.shape[1:]), math.prod(y.shape[1:])

    def forward(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        at = torch.from_numpy(vector.reshape(1, *x.shape[1:])).to(x)
        return _apply(module, at).flatten().double().cpu().numpy()

    def backward(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        at = torch.from_numpy(vector.reshape(1, *y.shape[1:])).to(y)
        return _transposed(module, x, at).flatten().double().cpu().numpy()

    operator = LinearOperator((outputs, inputs), forward, backward, dtype=np.float64)
    count = min(LARGEST, min(inputs, outputs) - 1)
    start = np.random.default_rng(0).standard_normal(min(inputs, outputs))
    values = svds(operator, k=count, v0=start, return_singular_vectors=False, tol=1e-5)
    return np.sort(values)[::-1]
