"""Balls and boxes: projections, and the steps that climb or close a gap at the least length.

The ball is that of radius eps in ``norm`` about an input, the box the range of raw inputs. In L1
both are treated together, exactly: a step in L1 moves few components, and those soon stand at the
box's side (Croce and Hein, "Mind the box: l1-APGD for sparse adversarial attacks", ICML 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lipsort_cli.norms import lengths

Bounds = tuple[float, float] | None

_SPARSE = 100
"""An L1 step moves one component in so many, and at least one."""


def expand(values: Tensor, like: Tensor) -> Tensor:
    """[N] in the shape [N, 1, ...] of ``like`` [N, ...]."""
    return values.view(-1, *[1] * (like.dim() - 1))


def inside(inputs: Tensor, delta: Tensor, bounds: Bounds) -> Tensor:
    """Keep inputs + delta in ``bounds``; that never lengthens a perturbation of a point inside."""
    return delta if bounds is None else (inputs + delta).clamp(*bounds) - inputs


def room(inputs: Tensor, direction: Tensor, bounds: Bounds) -> Tensor:
    """How far each component of ``inputs`` [N, ...] can go in ``direction`` within ``bounds``."""
    if bounds is None:
        return torch.full_like(inputs, torch.inf)
    low, high = bounds
    return torch.where(direction > 0, high - inputs, inputs - low).clamp_min(0)


def project(
    delta: Tensor, eps: float, norm: str, inputs: Tensor | None = None, bounds: Bounds = None
) -> Tensor:
    """Perturbations [N, ...] of ``inputs`` into the ball of radius ``eps`` and into ``bounds``.

    In L2 and L-infinity onto the ball, then into the box, which shortens them further; in L1 the
    nearest point of both together.
    """
    if norm == "l1":
        space = torch.full_like(delta, torch.inf)
        if inputs is not None:
            space = room(inputs, delta, bounds)
        return _project_l1(delta, eps, space)
    if norm == "linf":
        within = delta.clamp(-eps, eps)
    else:
        length = lengths(delta, norm).clamp_min(torch.finfo(delta.dtype).tiny)
        within = delta * expand((eps / length).clamp_max(1.0), delta)
    return within if inputs is None else inside(inputs, within, bounds)


def _project_l1(delta: Tensor, eps: float, space: Tensor) -> Tensor:
    """The nearest d to ``delta`` [N, ...] with ||d||_1 <= eps and |d_i| <= space_i, signs kept.

    It is d_i = sign(v_i) min(max(|v_i| - t, 0), space_i) with the least t >= 0 that makes it short
    enough. As a function of t the length is sum_i max(|v_i| - t, 0) - max(|v_i| - space_i - t, 0):
    linear between the sorted |v_i| and |v_i| - space_i.
    """
    size = delta.abs().flatten(1)
    space = space.flatten(1)
    # What a component has beyond its room never shortens for t >= 0 where the room is endless.
    beyond = torch.where(space.isinf(), -1.0, size - space)
    knots, order = torch.cat([size, beyond], 1).double().sort(1, descending=True)
    signs = torch.where(order < size.shape[1], 1.0, -1.0).double()
    slopes, sums = signs.cumsum(1), (signs * knots).cumsum(1)
    lengths_at = sums - knots * slopes  # at t = each knot; rises along the row
    # The last knot at which the length is at most eps: beyond it the slope is its own.
    last = (lengths_at <= eps).sum(1, keepdim=True) - 1
    t = (sums.gather(1, last) - eps) / slopes.gather(1, last).clamp_min(1)
    short = torch.minimum(size, space).double().sum(1, keepdim=True) <= eps
    t = torch.where(short, 0.0, t.clamp_min(0)).to(delta.dtype)
    found = torch.minimum((size - t).clamp_min(0), space).view_as(delta)
    return found * delta.sign()


def ascent(gradient: Tensor, norm: str) -> Tensor:
    """A direction of unit length in ``norm`` that climbs: [N, ...].

    The steepest in L2 and L-infinity. In L1 that would move a single component; a hundredth of
    them, those of the largest slopes, share the length instead (Tramer and Boneh, NeurIPS 2019).
    """
    if norm == "linf":
        return gradient.sign()
    if norm == "l1":
        flat = gradient.flatten(1)
        count = max(1, flat.shape[1] // _SPARSE)
        chosen = flat.abs().topk(count, 1).indices
        moved = torch.zeros_like(flat).scatter_(1, chosen, flat.gather(1, chosen).sign() / count)
        return moved.view_as(gradient)
    length = lengths(gradient, norm).clamp_min(torch.finfo(gradient.dtype).tiny)
    return gradient / expand(length, gradient)


def free(gradient: Tensor, inputs: Tensor, bounds: Bounds) -> Tensor:
    """``gradient`` without components along which ``-gradient`` would leave the box."""
    return gradient.masked_fill(room(inputs, -gradient, bounds) <= 0, 0.0)


def longest_descent(
    gradient: Tensor, eps: float, norm: str, inputs: Tensor, bounds: Bounds
) -> Tensor:
    """The perturbation [N, ...] of length ``eps`` that lowers a linear function of it most.

    In L1 exactly so within the box: components in the order of their slopes, each as far as the box
    allows, until the length is spent. In L2 and L-infinity it is cut off at the box's sides.
    """
    if norm != "l1":
        return inside(inputs, -eps * ascent(gradient, norm), bounds)
    flat = gradient.flatten(1)
    order = flat.abs().argsort(1, descending=True)
    space = room(inputs, -gradient, bounds).flatten(1).clamp_max(eps).gather(1, order)
    spent = space.double().cumsum(1) - space
    taken = torch.minimum((eps - spent).clamp_min(0).to(space.dtype), space)
    return _scattered(taken, order, -flat.sign()).view_as(gradient)


def closing(
    gradient: Tensor, gap: Tensor, norm: str, inputs: Tensor, bounds: Bounds
) -> tuple[Tensor, Tensor]:
    """Length [N] and step [N, n] that close ``gap`` [N] along ``-gradient`` [N, ...], flattened.

    The shortest in ``norm`` for a linear function; in L1 within the box, with infinite length where
    the box is too small. Components that would leave the box must be 0 (:func:`free`).
    """
    flat = gradient.flatten(1)
    tiny = torch.finfo(gradient.dtype).tiny
    if norm == "l2":
        squared = flat.square().sum(1).clamp_min(tiny)
        return gap / squared.sqrt(), (gap / squared)[:, None] * flat
    if norm == "linf":
        total = flat.abs().sum(1).clamp_min(tiny)
        return gap / total, (gap / total)[:, None] * flat.sign()
    order = flat.abs().argsort(1, descending=True)
    slopes = flat.abs().gather(1, order).clamp_min(tiny)
    space = room(inputs, -gradient, bounds).flatten(1).gather(1, order)
    gains = (slopes * space).double()
    before = torch.cat([torch.zeros_like(gains[:, :1]), gains.cumsum(1)[:, :-1]], 1)
    missing = (gap[:, None].double() - before).clamp_min(0)
    taken = torch.minimum((missing / slopes).to(space.dtype), space)
    reached = missing[:, -1] <= gains[:, -1]
    length = torch.where(reached, taken.sum(1), torch.inf)
    return length, _scattered(taken, order, flat.sign())


def _scattered(taken: Tensor, order: Tensor, signs: Tensor) -> Tensor:
    """Sizes [N, n] in sorted order back to their places, with signs."""
    return torch.zeros_like(taken).scatter_(1, order, taken) * signs
