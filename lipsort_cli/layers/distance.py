"""Order statistics of |x - w|: neurons that are 1-Lipschitz in L-infinity without constraint.

They generalise GroupSort, which sorts features, to sorting their distances from learnt values:
l-infinity-distance neurons take the largest (Zhang, Cai, Lu, He, Wang: "Towards Certifying
L-infinity Robustness using Neural Networks with L-inf-dist Neurons", ICML 2021), SortNet weights
all ranks geometrically (Zhang, Jiang, He, Wang: "Rethinking Lipschitz Neural Networks and Certified
Robustness: A Boolean Function Perspective", NeurIPS 2022).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import numbers, real, shown
from lipsort_cli.devices import sent
from lipsort_cli.errors import ArgumentError
from lipsort_cli.layers.base import Computing, check_features, check_rows, in_norm

_CACHED = 2**16
"""Numbers of a chunk that stays in a processor's cache."""


def rank_weights(decay: float, count: int, like: Tensor) -> Tensor:
    """(1 - decay) decay^k for k = 0 .. count - 1; with decay 0 the first alone."""
    ranks = torch.arange(count, dtype=torch.float64)
    return sent(((1 - decay) * decay**ranks).to(like.dtype), like.device)


class OrderStatistics(torch.autograd.Function):
    """sum_k (1 - decay) decay^k d_(k), d_(0) >= d_(1) >= ... the sorted |x_i - w_ji|.

    ``apply(x [N, in], w [out, in], decay)`` gives [N, out]. Nothing of size N x out x in is ever
    held: the backward pass forms the distances again, a chunk at a time. At ties the gradient goes
    to the first (decay 0), or in the order that sorting leaves.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, decay: float) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.decay = decay
        if decay == 0:
            return _largest(x, weight)
        shares = rank_weights(decay, x.shape[1], x)
        parts = [
            (part[:, None] - weight).abs_().sort(2, descending=True).values @ shares
            for part in x.split(_rows(weight))
        ]
        return torch.cat(parts) if parts else x.new_zeros(0, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight = torch.zeros_like(x), torch.zeros_like(weight)
        step = _rows(weight)
        shares = rank_weights(ctx.decay, x.shape[1], x)
        for start in range(0, len(x), step):
            rows = slice(start, start + step)
            difference = x[rows, None] - weight
            pulled = gradients[0][rows, :, None]
            if ctx.decay == 0:
                index = difference.abs().argmax(2, keepdim=True)
                slope = pulled * difference.gather(2, index).sign()
            else:
                index = difference.abs().argsort(2, descending=True)
                slope = pulled * shares * difference.gather(2, index).sign()
            to_x[rows].scatter_add_(1, index.flatten(1), slope.flatten(1))
            # Rows of the weight in front: [out, n, k] to [out, n k].
            to_weight.scatter_add_(1, index.transpose(0, 1).flatten(1),
                                   -slope.transpose(0, 1).flatten(1))  # fmt: skip
        return to_x, to_weight, None


def _rows(weight: Tensor) -> int:
    """Examples whose distances are formed at a time."""
    few = _CACHED if weight.device.type == "cpu" else 2**26
    return max(1, few // weight.numel())


def _largest(x: Tensor, weight: Tensor) -> Tensor:
    """max_i |x_i - w_ji|: [N, in], [out, in] to [N, out]."""
    if x.device.type == "cpu":
        found = x.new_empty(len(weight), len(x))
        space = torch.empty_like(x)
        for row, out in zip(weight, found, strict=True):
            torch.amax(torch.sub(x, row, out=space).abs_(), 1, out=out)
        return found.mT.contiguous()
    parts = [(part[:, None] - weight).abs_().amax(2) for part in x.split(_rows(weight))]
    return torch.cat(parts) if parts else x.new_zeros(0, len(weight))


def soft_distance(
    x: Tensor, weight: Tensor, sharpness: float, kept: Tensor | None = None
) -> Tensor:
    """(1/s) log sum_i [exp s(x_i - w_ji) + exp s(w_ji - x_i)], at the speed of a matrix product.

    A smooth maximum of |x_i - w_ji|, above it by at most log(2 in)/s and 1-Lipschitz in L-infinity
    like it. exp s(x - w) = exp(sx) exp(-sw), so that the sum over i is a product of matrices: the
    smooth form trains at the speed of a dense layer, where the maximum itself has no such product.

    Args:
        x: [N, in].
        weight: [out, in].
        sharpness: s. Nothing underflows while s times the range of each x is below 80.
        kept: [N, in], 0 where an input is left out of the sum; 0 where all are.

    Returns:
        [N, out], in float32 at least.
    """
    # Shifts that cancel: every factor is at most 1, and of each product's terms one is at least
    # exp(-s (max x - min x)).
    top, bottom = x.detach().amax(1, keepdim=True), x.detach().amin(1, keepdim=True)
    low, high = weight.detach().amin(1), weight.detach().amax(1)
    above, below = torch.exp(sharpness * (x - top)), torch.exp(sharpness * (bottom - x))
    if kept is not None:
        above, below = above * kept, below * kept
    one = _product(above, torch.exp(sharpness * (low[:, None] - weight)))
    other = _product(below, torch.exp(sharpness * (weight - high[:, None])))
    found = torch.logaddexp(
        _log(one) + sharpness * (top - low), _log(other) + sharpness * (high - bottom)
    )
    if kept is not None:
        found = found * kept.any(1, keepdim=True)
    return found / sharpness


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """x weight^T in autocast's precision: relative errors, so the logarithm's are 1/s of them."""
    found: Tensor = x @ weight.mT
    return found if found.dtype == x.dtype else found.to(x.dtype)


def _log(x: Tensor) -> Tensor:
    return x.clamp_min(torch.finfo(x.dtype).tiny).log()


class Distance(Computing):
    """y_j = sum_k (1 - decay) decay^k d_(k) + b_j, d_(0) >= d_(1) >= ... the sorted |x_i - w_ji|.

    With decay 0 the L-infinity distance of x from w_j; each output is 1-Lipschitz in L-infinity,
    whatever the weights. Outside training the formula itself is computed. In training:

    - the maximum is smoothed (:func:`soft_distance`), from ``sharpness[0]`` up to ``sharpness[1]``
      in geometric progression, so that every weight has a gradient; over the last share ``exact``
      of the steps the formula itself is taken. :attr:`progress` says how far training is.
    - each input is left out with probability ``decay``: the expectation of the maximum of the rest
      is the formula above, as the k-th largest is the largest of what is kept with probability
      (1 - decay) decay^k.
    - with ``center`` the batch mean of each output is subtracted, and its running mean, with
      ``bias``, is b outside training.

    Args:
        decay: at least 0, below 1.
        center: subtract the mean. Distances are large and alike; the next layer sees differences.
        spread: standard deviation of the first weights.
        sharpness: of the smooth maximum, first and last.
        exact: share of the steps, at the end, with the formula itself.

    Shapes: [N, in] to [N, out].

    Example:
        >>> layer = Distance(3, 1, center=False).eval()
        >>> _ = layer.parameter.data.copy_(torch.tensor([[0.0, 1.0, 0.0]]))
        >>> layer(torch.tensor([[0.5, 0.2, 0.0]])).item()
        0.800000011920929
    """

    mean: Tensor
    progress: float

    def __init__(
        self,
        in_features: int,
        out_features: int,
        decay: float = 0.0,
        *,
        center: bool = True,
        spread: float = 1.0,
        sharpness: tuple[float, float] = (8.0, 40.0),
        exact: float = 0.05,
    ) -> None:
        super().__init__()
        check_features(in_features, out_features)
        self.decay = real("decay", decay, "at least 0, less than 1", lambda value: 0 <= value < 1)
        pair = numbers("sharpness", sharpness)
        if len(pair) != 2 or not 0 < pair[0] <= pair[1] < math.inf:
            raise ArgumentError(
                f"sharpness: found {shown(sharpness)}; allowed: two positive ones, not decreasing"
            )
        self.center = center
        self.sharpness = (pair[0], pair[1])
        self.exact = exact
        self.progress = 1.0
        self.parameter = nn.Parameter(spread * torch.randn(out_features, in_features))
        self.offset = nn.Parameter(torch.zeros(out_features))
        self.register_buffer("mean", torch.zeros(out_features))

    @property
    def weight(self) -> Tensor:
        """What inputs are compared with [out, in]."""
        return self.parameter

    @property
    def bias(self) -> Tensor:
        """b [out], the running mean taken off."""
        return self.offset - self.mean

    def forward(self, x: Tensor) -> Tensor:
        check_rows(x, self.parameter)
        if not self.training:
            found: Tensor = OrderStatistics.apply(x, self.parameter, self.decay)
            return found + self.bias
        x = x.to(self.parameter.dtype)
        found = self._trained(x)
        if not self.center:
            return found + self.offset
        mean = found.mean(0)
        with torch.no_grad():
            self.mean.lerp_(mean.to(self.mean.dtype), 0.1)
        return found - mean + self.offset

    def _trained(self, x: Tensor) -> Tensor:
        if self.progress >= 1 - self.exact:
            return OrderStatistics.apply(x, self.parameter, self.decay)
        kept = (torch.rand_like(x) >= self.decay).to(x.dtype) if self.decay else None
        first, last = self.sharpness
        share = self.progress / (1 - self.exact)
        return soft_distance(x, self.parameter, first * (last / first) ** share, kept)

    def lipschitz(self, norm: str) -> float:
        """An upper bound of the constant from ``norm`` (l2, linf, l1) to itself.

        L-infinity: 1. The gradient of an output holds the weights of the ranks in some order, so
        its L2 norm is at most that of the weights, and ``out`` of them are stacked.
        """
        out, count = self.parameter.shape
        shares = rank_weights(self.decay, count, torch.zeros((), dtype=torch.float64))
        longest, most = float(shares.norm()), float(shares.max())
        slack = 1 + 1e-12
        return in_norm(norm, l2=math.sqrt(out) * longest * slack, linf=1.0, l1=out * most * slack)

    def extra_repr(self) -> str:
        out, count = self.parameter.shape
        return f"{count}, {out}, decay={self.decay}"
