"""Steps on the Stiefel manifold: project, choose a direction, step, retract."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.devices import fast_dtype, reads_freely, sent
from lipsort_cli.layers.constraints.polar import approximate_polar, settled
from lipsort_cli.layers.constraints.polynomials import (
    gram,
    inverse_sqrt_coefficient,
    multiply,
    polar_factor,
)

_TARGET = 1e-6
"""What truncating the retraction's series may leave of ||W W^T - I||."""


def symmetric(x: Tensor) -> Tensor:
    """The symmetric part of square matrices [..., n, n]."""
    return (x + x.mT) / 2


def tangent_projection(weight: Tensor, ambient: Tensor, dtype: torch.dtype) -> Tensor:
    """Project [..., m, n] onto the tangent space of the Stiefel manifold at ``weight``, the same.

    T = M - sym(M W^T) W for m <= n, T = M - W sym(W^T M) otherwise (Edelman, Arias, Smith 1998),
    with the products in ``dtype``; the result is in the dtype of ``ambient``.
    """
    w, m = weight.to(dtype), ambient.to(dtype)
    side = m @ w.mT if w.shape[-2] <= w.shape[-1] else w.mT @ m
    return ambient - multiply(symmetric(side), w).to(ambient.dtype)


def retract(moved: Tensor, dtype: torch.dtype, near: float = 1.0) -> Tensor:
    """The polar factor of matrices [..., m, n] that are near the manifold already.

    With E = I - X X^T (smaller side), X (I - E)^(-1/2) = X + (E/2 + 3/8 E^2 + 5/16 E^3 + ...) X,
    with as many terms as the measured ||E|| asks for. E itself is computed in the dtype of
    ``moved``; products of what is small anyway use ``dtype``, as long as its rounding stays below
    the target. Where measuring would wait for the device, ``near`` counts instead: what bounds
    ||E|| (:func:`~lipsort_cli.layers.constraints.polar.settled`).

    Returns:
        [..., m, n] with orthonormality error about 1e-6 in float32.
    """
    if not reads_freely(moved.device):
        return settled(moved, near)
    x = moved
    for _ in range(8):
        square = gram(x)
        error = torch.eye(square.shape[-1], dtype=x.dtype, device=x.device) - square
        size = spectral_size(error)
        if not size < 0.5:
            return polar_factor(x)
        terms = terms_needed(size)
        if terms == 0:
            return x
        # A product of size s rounds to about s * unit: the fast dtype where that is affordable.
        unit = torch.finfo(dtype).eps / 2
        affordable = inverse_sqrt_coefficient(2) * size**2 * unit <= _TARGET
        low = error.to(dtype) if affordable else error
        series = inverse_sqrt_coefficient(1) * error
        power = low
        for i in range(2, terms + 1):
            power = power @ low
            series = series + inverse_sqrt_coefficient(i) * power.to(x.dtype)
        if size * unit <= 4 * _TARGET:
            x = x + multiply(series.to(dtype), x.to(dtype)).to(x.dtype)
        else:
            x = x + multiply(series, x)
        if 2 * inverse_sqrt_coefficient(terms + 1) * size ** (terms + 1) <= _TARGET:
            return x
    return polar_factor(x)


def spectral_size(error: Tensor) -> float:
    """About the largest ||E||_2 of symmetric matrices [..., n, n], rather above.

    Four power iterations and a third more. The row-sum norm would be a bound, but a tenfold one at
    width 1024, and would cost two more products a step. What is missed here is small and corrected
    by the next step.
    """
    if error.dim() > 2:
        return _sizes(error)
    vector = error[error.square().sum(1).argmax()]
    size = vector.norm()
    for _ in range(4):
        vector = error @ (vector / size.clamp_min(torch.finfo(error.dtype).tiny))
        size = vector.norm()
    return 4 / 3 * float(size)


def _sizes(error: Tensor) -> float:
    """:func:`spectral_size` of a batch: its largest."""
    rows = error.square().sum(-1).argmax(-1)[..., None, None]
    vector = error.gather(-2, rows.expand(*rows.shape[:-1], error.shape[-1])).mT
    size = vector.norm(dim=-2, keepdim=True)
    for _ in range(4):
        vector = error @ (vector / size.clamp_min(torch.finfo(error.dtype).tiny))
        size = vector.norm(dim=-2, keepdim=True)
    return 4 / 3 * float(size.max())


def terms_needed(size: float) -> int:
    """Fewest terms of the series of (I - E)^(-1/2), at most 4, that leave less than the target.

    Of ||E|| = ``size``; 1e-6 of ||W W^T - I|| is the target.
    """
    for terms in range(4):
        if 2 * inverse_sqrt_coefficient(terms + 1) * size ** (terms + 1) <= _TARGET:
            return terms
    return 4


@torch.no_grad()
def stiefel_step_(
    weight: Tensor, momentum: Tensor, lr: float, polar_steps: int, dtype: torch.dtype | None = None
) -> None:
    """Move ``weight`` [..., m, n] by spectral length ``lr`` against ``momentum``, in place.

    The direction is the polar factor of the tangent part of the momentum: of all tangent steps of
    spectral norm 1, about the one that descends fastest. Its length never depends on the
    gradient's, so that nothing diverges.
    """
    dtype = fast_dtype(weight.device.type) if dtype is None else dtype
    tangent = tangent_projection(weight, momentum, dtype)
    direction = approximate_polar(tangent, polar_steps, dtype).to(weight.dtype)
    # The polar factor of a tangent matrix is not quite tangent itself: not at all for a
    # rectangular weight, and up to rounding for a square one. Retracting a step that leaves the
    # manifold at first order would cost more than this projection.
    direction = tangent_projection(weight, direction, dtype)
    # A tangent step of singular values s lengthens W to sqrt(1 + lr^2 s^2); s is about 1.
    shrink = 1 / (1 + lr * lr)
    moved = torch.sub(weight, direction, alpha=lr).mul_(shrink**0.5)
    if lr * lr > _PREDICTED:
        moved += _predicted_correction(moved, direction.to(dtype), lr * lr * shrink)
    # At first order a step errs by the rounding of its products, at second by its length.
    near = 2 * lr * lr + 4 * lr * torch.finfo(dtype).eps + 1e-4
    weight.copy_(retract(moved, dtype, near))


_PREDICTED = 2e-4
"""Squared step from which predicting the error saves more than it costs."""


def _predicted_correction(moved: Tensor, direction: Tensor, factor: float) -> Tensor:
    """E/2 X with the E that a tangent step leaves: lr^2 / (1 + lr^2) (I - D D^T), smaller side.

    Cheap, as it needs no accuracy: what it misses is left to the retraction, which then starts
    from an error small enough for one term and fast products.
    """
    eye = torch.eye(min(direction.shape[-2:]), dtype=direction.dtype, device=direction.device)
    error = eye - gram(direction)
    return multiply(error, moved.to(error.dtype)).to(moved.dtype) * (factor / 2)


_SHORT = 0.01
"""||T T^T|| from which a step to second order leaves too much: about its square."""


@torch.no_grad()
def second_order_step_(weight: Tensor, ambient: Tensor, dtype: torch.dtype) -> bool:
    """About what projecting ``ambient`` [..., m, n] and retracting do to ``weight``, in place.

    With M the ambient step, S = M W^T, s its symmetric part and T = M - s W the tangent part, the
    polar factor of W + T is W + T - T T^T W / 2 to second order (m <= n; the other side otherwise),
    and T T^T = M M^T - P - P^T with P = (S - s / 2) s: three large products in ``dtype`` and none
    at full precision, where :func:`tangent_projection` and :func:`retract` take five. What is left
    is the rounding of ``dtype`` and the third order; :func:`retract` removes it when it is next
    called.

    Returns:
        Whether the step was short enough for that; if not, ``weight`` is as before.
    """
    w, m = weight.to(dtype), ambient.to(dtype)
    side = m @ w.mT if w.shape[-2] <= w.shape[-1] else m.mT @ w
    normal = symmetric(side)
    part = (side - normal / 2) @ normal
    lengthening = gram(m) - part - part.mT
    if not float(lengthening.norm()) <= _SHORT:
        return False
    away = multiply(normal + lengthening / 2, w)  # before the weight moves: w may be it
    weight.add_(ambient).sub_(away)
    return True


@torch.no_grad()
def manifold_step_(weight: Tensor, ambient: Tensor, *, exact: bool = True) -> None:
    """Move ``weight`` [..., m, n] by the tangent part of ``ambient``, the same, and retract it.

    With Adam's step, entry by entry, as the ambient one this is Adam on the manifold. (Riemannian
    adaptive methods: Becigneul and Ganea, ICLR 2019; those project the gradient as well, which
    costs two products more and gained nothing here.) Where a gradient is mostly noise, as a
    critic's is, this moves less by the noise than steepest descent, whose step is equally long in
    every direction.

    The weight is orthonormal to 1e-5 afterwards where the step is ``exact``. Otherwise short steps
    are taken to second order (:func:`second_order_step_`), which leaves errors of some 1e-4 in
    bfloat16; not where asking for a step's length would wait for the device.
    """
    dtype = fast_dtype(weight.device.type)
    exact = exact or not reads_freely(weight.device)
    if not exact and second_order_step_(weight, ambient, dtype):
        return
    weight.copy_(retract(weight + tangent_projection(weight, ambient, dtype), dtype))


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
