"""Jacobians of a network's outputs with respect to its state at every depth.

With f = f_D o ... o f_1 and states h_0 = x, h_d = f_d(h_{d-1}), the Jacobians df/dh_d [C, n_d] of a
batch come from C backward passes, all depths at once. Their singular values say how much of a
change of a state reaches the outputs; the gradient of a margin is a row vector times one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lipsort_cli.layers import Normalize, Scale
from lipsort_cli.layers.base import evaluating
from lipsort_cli.layers.constraints.polynomials import gram
from lipsort_cli.norms import DUAL, lengths

SHAPE_ONLY = (nn.Flatten, nn.Dropout, nn.Identity)
"""Layers that leave the values as they are: no depth of their own."""


@dataclass(frozen=True)
class Depths:
    """What one pass over sample points gives.

    ``names`` of the layer before each depth (``input`` first); ``jacobians[d]`` [N, C, n_d];
    ``logits`` [N, C]; ``scaling``: the product of the scalings in the network, which belong to its
    constant and not to its constrained layers.
    """

    names: list[str]
    jacobians: list[Tensor]
    logits: Tensor
    scaling: float

    def singular_values(self) -> list[Tensor]:
        """Singular values of every Jacobian, descending, [N, min(C, n_d)] float64 each.

        Square roots of the eigenvalues of the smaller Gram matrix: values below 1e-8 of the
        largest are not resolved.
        """
        squares = (gram(jacobian.double()) for jacobian in self.jacobians)
        return [torch.linalg.eigvalsh(one).clamp_min(0).sqrt().flip(1) for one in squares]

    def margin_gradients(self, labels: Tensor) -> list[Tensor]:
        """Gradients [N, n_d] of f_y - max_{j != y} f_j at every depth; of f_0 for one output."""
        count, classes = self.logits.shape
        if classes == 1:
            return [jacobian[:, 0] for jacobian in self.jacobians]
        rows = torch.arange(count, device=self.logits.device)
        others = self.logits.clone()
        others[rows, labels] = -torch.inf
        rival = others.argmax(1)
        return [jacobian[rows, labels] - jacobian[rows, rival] for jacobian in self.jacobians]

    def gradient_norms(self, labels: Tensor, norm: str = "l2") -> Tensor:
        """Norms [N, D + 1] float64 of the margin's gradient at every depth, dual to ``norm``."""
        gradients = self.margin_gradients(labels)
        return torch.stack([lengths(one.double(), DUAL[norm]) for one in gradients], dim=1)

    def kept(self, norms: Tensor) -> Tensor:
        """Share [N] of the gradient's norm before the last layer that arrives at the input.

        Known scalings are divided out; points where no gradient leaves the last layer give NaN.
        """
        return norms[:, 0] / (norms[:, -1] * self.scaling)


def jacobians(network: nn.Sequential, inputs: Tensor) -> Depths:
    """Jacobians of ``network`` at ``inputs`` [N, ...] with respect to the state at every depth.

    Depth 0 is the input, the last one the input of the last layer. The network is run in
    evaluation mode, and left in the mode that it was in.
    """
    state = inputs.detach().clone().requires_grad_(True)
    names, states, scaling = ["input"], [state], 1.0
    layers, rows = list(network), []
    with evaluating(network), torch.enable_grad():
        for position, layer in enumerate(layers):
            state = layer(state)
            scaling *= _scaling(layer)
            if position < len(layers) - 1 and not isinstance(layer, SHAPE_ONLY):
                names.append(type(layer).__name__)
                states.append(state)
        logits = state.flatten(1)
        for output in range(logits.shape[1]):
            gradients = torch.autograd.grad(
                logits[:, output].sum(), states, retain_graph=True, materialize_grads=True
            )
            rows.append([gradient.flatten(1) for gradient in gradients])
    stacked = [torch.stack(at_depth, dim=1) for at_depth in zip(*rows, strict=True)]
    return Depths(names, stacked, logits.detach(), scaling)


def _scaling(layer: nn.Module) -> float:
    if isinstance(layer, Scale):
        return abs(layer.factor)
    if isinstance(layer, Normalize):
        return float((1 / layer.std).max())
    return 1.0
