"""Almost-orthogonal rescaling: norm at most 1 by Gershgorin's circles, at the cost of one product.

Prach and Lampert, "Almost-Orthogonal Layers for Efficient General-Purpose Lipschitz Networks",
ECCV 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.layers.constraints.base import WithinSpectralBall
from lipsort_cli.layers.constraints.polynomials import gram


class Aol(WithinSpectralBall):
    """W = V D (out >= in) or D V, D diagonal with d_i = (sum_j |G_ij|)^(-1/2), G the Gram matrix.

    G is V^T V or V V^T, the smaller one. D G D has weighted absolute row sums 1, so ||W||_2 <= 1,
    with equality where V is orthonormal, which training tends to: the layer is almost orthogonal.
    Nothing is iterated and nothing projected.
    """

    def forward(self, parameter: Tensor) -> Tensor:
        scale = rescaling(gram(parameter).abs().sum(1))
        # The side of the Gram matrix: rows unless they are more.
        by_rows = parameter.shape[0] <= parameter.shape[1]
        return parameter * (scale[:, None] if by_rows else scale)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight itself where it is its own image, as every orthonormal one is."""
        if not torch.allclose(self.forward(weight), weight, atol=1e-3):
            raise ValueError(
                f"found a weight {tuple(weight.shape)} that rescaling changes; only weights that "
                "it leaves as they are, such as orthonormal ones, have a parameter here"
            )
        return weight


def rescaling(sums: Tensor) -> Tensor:
    """d = sums^(-1/2) of absolute row sums of a Gram matrix; a row of zeros stays 0."""
    return sums.clamp_min(torch.finfo(sums.dtype).tiny).rsqrt()
