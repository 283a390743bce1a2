"""Steps on the Stiefel manifold that rotate a weight within a small subspace, in O(m n r)."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.devices import fast_dtype, sent
from lipsort_cli.layers.constraints.polar import approximate_polar
from lipsort_cli.optim.stiefel import retract

_EXACT_EVERY = 32
"""Steps between two retractions: each rotation rounds, and the errors add up."""


def first_basis(weight: Tensor, rank: int) -> Tensor:
    """Where the search for a subspace begins: random [..., max(m, n), rank], always the same."""
    size = max(weight.shape[-2:])
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(*weight.shape[:-2], size, rank, generator=generator)
    return sent(start, weight.device).to(weight.dtype)


@torch.no_grad()
def subspace_step_(
    weight: Tensor,
    momentum: Tensor,
    basis: Tensor,
    lr: float,
    polar_steps: int,
    count: int,
    dtype: torch.dtype | None = None,
) -> None:
    """Rotate ``weight`` [..., m, n] against ``momentum`` within r dimensions, in place.

    Let V be the weight with orthonormal columns (m >= n; the transpose otherwise) and M the
    momentum. Of all skew A the steepest left action V <- V - A V is along A = M V^T - V M^T [m, m]
    (the canonical metric of Edelman, Arias, Smith 1998). With U [m, r] an orthonormal basis of
    about its leading invariant subspace, S = U^T A U and K the polar factor of S,

        V <- V + U ((I + lr/2 K)^-1 (I - lr/2 K) - I) U^T V,

    Cayley's transform: an exact rotation by about ``lr`` radians of every direction of the
    subspace, however long the gradient is. U is what one power iteration U <- orth(A U) makes of
    the last step's, as in Dion (Ahn, Xu, Abreu, Langford 2025); error feedback, which that has,
    gained nothing here. Five products of 2 m n r operations, where a step in all directions takes
    some sixteen of 2 n^3.

    Args:
        weight: orthonormal matrices, larger than r on either side.
        momentum: the same shape.
        basis: [..., max(m, n), r], A U of the last step; that of this one afterwards.
        lr: angle of the rotation.
        polar_steps: Newton-Schulz steps for K.
        count: number of this step; at every 32nd the weight is retracted as well.
        dtype: of the products that choose the direction; by default the fastest of the device.
    """
    dtype = fast_dtype(weight.device.type) if dtype is None else dtype
    tall = weight.shape[-2] >= weight.shape[-1]
    v, m = (weight, momentum) if tall else (weight.mT, momentum.mT)
    u = torch.linalg.qr(basis)[0]
    inner = v.mT @ u
    # What only chooses the direction needs no accuracy: the rotation is exact for every K.
    low, u_low = m.to(dtype), u.to(dtype)
    basis.copy_(low @ inner.to(dtype) - v.to(dtype) @ (low.mT @ u_low))
    square = u.mT @ basis
    direction = approximate_polar(square - square.mT, polar_steps, v.dtype)
    half = (direction - direction.mT) * (lr / 4)
    eye = torch.eye(half.shape[-1], dtype=v.dtype, device=v.device)
    # Never singular, as half is skew: nothing to ask the device about.
    turn = -2 * torch.linalg.solve_ex(eye + half, half).result
    moved = v + u @ (turn @ inner.mT)
    if count % _EXACT_EVERY == 0:
        moved = retract(moved, moved.dtype, near=1e-2)
    weight.copy_(moved if tall else moved.mT)
