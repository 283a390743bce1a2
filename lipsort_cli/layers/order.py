"""Weighted order statistics: threshold gates made 1-Lipschitz in L-infinity.

A neuron answers with the largest level t at which enough weight votes for "at least t":

    y_j = max { t : sum_i |w_ji| [sign(w_ji) x_i >= t]  >=  b_j },

one of the +-x_i, chosen by weights and ranks (weighted order statistic and stack filters:
Yli-Harja, Astola and Neuvo, IEEE Trans. Signal Processing 39, 1991). Where no +-x_i falls by more
than d, the votes for t - d are at least those that were for t: each output is 1-Lipschitz in
L-infinity whatever the weights. Sorting is the case of equal weights, the maximum that of b_j = 1.

By threshold decomposition a whole network of them is, at each level t, a network of binary gates:
y_j >= t holds if and only if the gate's balance holds with every x_i replaced by whether x_i >= t
and whether -x_i >= t. So "every logit is ahead by t" is a statement about one pair of binary
networks, two matrix products a layer, and is what training asks for (:meth:`WeightedOrder.gates`).

Weights and thresholds are whole numbers whose sums are below 2^24: no sum rounds, in float32, in
any order, and neither does the value, which is chosen and not computed.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import real, whole
from lipsort_cli.layers.base import Computing, check_features, check_rows, in_norm

_BLOCK = 64
"""Ranks of a block: votes are added up block by block first, then within one block."""
_CACHED = 2**22
"""Numbers of a chunk of examples."""
_LARGEST = 2.0**23
"""What the weights of a row add up to, about."""


class OrderStatistic(torch.autograd.Function):
    """max { t : sum_i |w_ji| [sign(w_ji) x_i >= t] >= b_j } for x [N, in], w [out, in], b [out].

    Gives [N, out]. The gradient of each output goes to the one input that was chosen; weights have
    none. Rows of x with NaN give NaN.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        literals = torch.cat([x, -x], 1)
        votes = torch.cat([weight.clamp_min(0), (-weight).clamp_min(0)], 1)
        rows = max(1, _CACHED // (votes.shape[1] * max(len(votes), votes.shape[1] // _BLOCK + 1)))
        parts = [_chosen(part, votes, bias) for part in literals.split(rows)]
        index = torch.cat(parts) if parts else x.new_zeros(0, len(votes), dtype=torch.long)
        ctx.save_for_backward(index)
        ctx.inputs = x.shape[1]
        found = literals.gather(1, index)
        return found.masked_fill(x.isnan().any(1, keepdim=True), math.nan)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        pulled = torch.where(index < ctx.inputs, gradients[0], -gradients[0])
        to_x = pulled.new_zeros(len(pulled), ctx.inputs)
        return to_x.scatter_add_(1, index % ctx.inputs, pulled), None, None


def _chosen(literals: Tensor, votes: Tensor, bias: Tensor) -> Tensor:
    """Which literal [N, n] each of the outputs takes [N, out], for ``votes`` [out, n]."""
    count = literals.shape[1]
    order = literals.argsort(1, descending=True)
    ranks = torch.empty_like(order)
    ranks.scatter_(1, order, torch.arange(count, device=order.device).expand_as(order))
    ends = torch.arange(_BLOCK, count + _BLOCK, _BLOCK, device=order.device)
    reached = (ranks[:, None] < ends[:, None]).to(votes.dtype) @ votes.mT  # [N, blocks, out]
    block = (reached < bias).sum(1).clamp_max(len(ends) - 1)
    before = torch.cat([torch.zeros_like(reached[:, :1]), reached], 1).gather(1, block[:, None])
    inside = torch.arange(_BLOCK, device=order.device)
    places = (block[..., None] * _BLOCK + inside).clamp_max(count - 1)
    literal = order.gather(1, places.flatten(1)).view_as(places)
    row = torch.arange(len(votes), device=order.device)[:, None]
    running = votes[row, literal].cumsum(2) + before[:, 0, :, None]
    first = (running < bias[:, None]).sum(2, keepdim=True).clamp_max(_BLOCK - 1)
    return literal.gather(2, first)[..., 0]


def whole_numbers(weight: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Whole weights and thresholds of gates that hold where sum_i w_ji s_i >= shift_j, s_i = +-1.

    Of w [out, in] of any scale and shifts [out]: weights [out, in] whose absolute values add up to
    about 2^23 a row, and thresholds [out] between 1 and that sum, so that some level always reaches
    them; both float32.
    """
    weight, shift = weight.detach().double(), shift.detach().double()
    scale = _LARGEST / weight.abs().sum(1).clamp_min(1e-300)
    whole = (weight * scale[:, None]).round()
    empty = whole.abs().sum(1) == 0
    whole[empty, 0] = 1
    total = whole.abs().sum(1)
    wanted = ((total + shift * scale) / 2).ceil().nan_to_num()
    threshold = torch.minimum(wanted.clamp_min(1), total)
    return whole.float(), threshold.float()


def signs(x: Tensor, level: float | Tensor) -> tuple[Tensor, Tensor]:
    """Signs of x within ``level``, as centre and doubt: sure and +-1, or 0 and in doubt.

    The sign is any number from centre - doubt to centre + doubt: one of (1, 0), (-1, 0), (0, 1).
    """
    kind = x.device.type
    mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    # These numbers are exact in any type.
    dtype = torch.get_autocast_dtype(kind) if mixed else x.dtype
    return _three_valued(x >= level, x > -level, dtype)


def _three_valued(lower: Tensor, upper: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Centre and doubt of signs that are surely +1 where ``lower``, and can be where ``upper``."""
    return (lower.to(dtype) + upper.to(dtype)).sub_(1), (lower != upper).to(dtype)


class _Gates(torch.autograd.Function):
    """Signs of all s within ``width`` of ``middle``, +1 at 0; backwards of tanh(slope s / 2)."""

    @staticmethod
    def forward(
        ctx: Any, middle: Tensor, width: Tensor, slope: float, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(middle, width)
        ctx.slope = slope
        return _three_valued(middle >= width, middle >= -width, dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        middle, width = ctx.saved_tensors
        centre, doubt = (gradient.to(middle.dtype) for gradient in gradients)
        # tanh(x / 2) = 2 sigmoid(x) - 1; g p (1 - p) in one pass.
        lower, upper = (
            torch.ops.aten.sigmoid_backward(pulled, torch.sigmoid(ctx.slope * end))
            for pulled, end in ((centre - doubt, middle - width), (centre + doubt, middle + width))
        )
        return (lower + upper).mul_(ctx.slope), (upper - lower).mul_(ctx.slope), None, None


def balance(weight: Tensor, centre: Tensor, doubt: Tensor) -> tuple[Tensor, Tensor]:
    """Middle and half width [N, out] of w s over all signs s [N, in] of that centre and doubt."""
    middle = nn.functional.linear(centre, weight)
    width = nn.functional.linear(doubt, weight.abs())
    return middle.to(weight.dtype), width.to(weight.dtype)


class WeightedOrder(Computing):
    """Weighted order statistics of the inputs; see the module's head.

    Outside training [N, in] to [N, out] by :class:`OrderStatistic`, with the whole numbers that
    :attr:`weight` and :attr:`bias` are. Training goes through :meth:`gates`: balances are brought
    to mean 0 and variance 1 over the batch (running figures are part of :attr:`bias` afterwards),
    and gates, which have no slope, are differentiated as tanh(slope s / 2).

    Balances nearer to 0 than ``slack`` are in doubt in training, whatever the inputs: a gate that
    is the same for all of an image's background would come to rest on its threshold, where the
    last bit decides about every image.

    ``slope``: of the gates, backwards; ``slack``: in deviations.

    Example:
        >>> layer = WeightedOrder(3, 1).eval()
        >>> _ = layer.parameter.data.copy_(torch.tensor([[1.0, 1.0, 1.0]]))  # the median
        >>> layer(torch.tensor([[0.5, -0.2, 0.1]])).item()
        0.10000000149011612
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, in_features: int, out_features: int, slope: float = 6.0, slack: float = 0.0
    ) -> None:
        super().__init__()
        check_features(in_features, out_features)
        self.out_features = out_features
        self.slope = real("slope", slope, "positive", lambda value: 0 < value < math.inf)
        self.slack = real("slack", slack, "at least 0", lambda value: 0 <= value < math.inf)
        self.parameter = nn.Parameter(torch.randn(out_features, in_features) / in_features**0.5)
        self.offset = nn.Parameter(torch.zeros(out_features))
        self.register_buffer("mean", torch.zeros(out_features))
        self.register_buffer("deviation", torch.ones(out_features))

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weights [out, in] and thresholds [out], whole numbers."""
        return whole_numbers(self.parameter, self.mean - self.offset * self.deviation)

    @property
    def weight(self) -> Tensor:
        """Whole weights w [out, in]."""
        return self.whole()[0]

    @property
    def bias(self) -> Tensor:
        """Whole thresholds b [out]."""
        return self.whole()[1]

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] to [N, out], exactly; in training as well."""
        check_rows(x, self.parameter)
        weight, bias = self.whole()
        found: Tensor = OrderStatistic.apply(x, weight.to(x.dtype), bias.to(x.dtype))
        return found

    def gates(self, centre: Tensor, doubt: Tensor) -> tuple[Tensor, Tensor]:
        """Centre and doubt of the outputs' signs [N, out] from those of the inputs' [N, in].

        Outside training these are the signs of :meth:`forward`, exactly: the whole numbers decide.
        """
        if not self.training:
            weight, bias = self.whole()
            middle, width = balance(weight, centre, doubt)
            middle = middle - (2 * bias - weight.abs().sum(1))
        else:
            middle, width = self._normalized(*balance(self.parameter, centre, doubt))
        found: tuple[Tensor, Tensor] = _Gates.apply(middle, width, self.slope, centre.dtype)
        return found

    def _normalized(self, middle: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Balances of mean 0 and variance 1 over the batch, and the offset added."""
        mean = middle.mean(0)
        centered = middle - mean
        # Quicker than std; a gate that is the same for the whole batch has a slope as well.
        deviation = (centered.square().mean(0) + 1e-12).sqrt() + 1e-3
        with torch.no_grad():
            self.mean.lerp_(mean, 0.05)
            self.deviation.lerp_(deviation, 0.05)
        scale = 1 / deviation
        return torch.addcmul(self.offset, centered, scale), width * scale + self.slack

    def plain(self) -> tuple[Tensor, Tensor]:
        """Weights and thresholds of all inputs and outputs, as they are certified."""
        return self.whole()

    def lipschitz(self, norm: str) -> float:
        return choice_constant(self.out_features, norm)

    def extra_repr(self) -> str:
        out, count = self.parameter.shape
        return f"{count}, {out}"


def choice_constant(outputs: int, norm: str) -> float:
    """Constant of a map each of whose ``outputs`` is, near almost every x, one of the +-x_i."""
    return in_norm(norm, l2=math.sqrt(outputs) * (1 + 1e-12), linf=1.0, l1=float(outputs))


class Versus(nn.Module):
    """A head of gates between classes: f_y = min_k g_yk, g_yk = -g_ky for each pair of classes.

    g_yk is the weighted order statistic with the weights of y minus those of k: at every level the
    gate that asks whether y has more votes than k. So f_y >= t says that y is ahead of every class
    at level t, and then f_k <= -t: the gap of two logits, which is 2-Lipschitz in L-infinity, is at
    least 2t.

    Shapes: [N, in] to [N, classes]. Outside training exact; training goes through
    :meth:`worst_case`.
    """

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__()
        whole("in_features", in_features)
        whole("classes", classes, 2)
        self.parameter = nn.Parameter(torch.randn(classes, in_features) / in_features**0.5)
        self.offset = nn.Parameter(torch.zeros(classes))

    def pairs(self) -> tuple[Tensor, Tensor]:
        """The two classes i < j of every gate, each [pairs]."""
        first, second = torch.triu_indices(len(self.offset), len(self.offset), 1)
        return first.to(self.offset.device), second.to(self.offset.device)

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weights [pairs, in] and thresholds [pairs] of the gates, whole numbers."""
        i, j = self.pairs()
        return whole_numbers(self.parameter[i] - self.parameter[j], self.offset[j] - self.offset[i])

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] to [N, classes], exactly; in training as well."""
        check_rows(x, self.parameter)
        weight, bias = self.whole()
        gates = OrderStatistic.apply(x, weight.to(x.dtype), bias.to(x.dtype))
        negated = nn.functional.linear(gates, self.losses().to(x.dtype))
        classes = len(self.offset)
        found: Tensor = -negated.unflatten(1, (classes, classes - 1)).max(2).values
        return found

    def losses(self) -> Tensor:
        """[classes (classes - 1), pairs], +1 or -1: row (y, k) gives -g_yk from the gates."""
        i, j = (index.tolist() for index in self.pairs())
        classes = len(self.offset)
        table = torch.zeros(classes * (classes - 1), len(i), device=self.offset.device)
        for pair, (y, k) in enumerate(zip(i, j, strict=True)):
            table[y * (classes - 1) + k - 1, pair] = -1
            table[k * (classes - 1) + y, pair] = 1
        return table

    def worst_case(self, centre: Tensor, doubt: Tensor, labels: Tensor, members: int = 1) -> Tensor:
        """By how much each class can have more votes than the true one [N, classes]; 0 for that.

        The largest of all signs [N, in] of that centre and doubt, exactly, for each class. Of
        several ``members`` these are the votes of equal parts of the inputs, each with its share of
        the offset, one after the other: [members N, classes]. They add up to the whole's.
        """
        parts = (side.chunk(members, 1) for side in (self.parameter, centre, doubt))
        offset = self.offset / members
        each = (self._worst(w, c, d, labels, offset) for w, c, d in zip(*parts, strict=True))
        return torch.cat(list(each))

    @staticmethod
    def _worst(
        weight: Tensor, centre: Tensor, doubt: Tensor, labels: Tensor, offset: Tensor
    ) -> Tensor:
        centre, doubt = centre.to(weight.dtype), doubt.to(weight.dtype)
        votes = nn.functional.linear(centre, weight, offset)
        differences = (weight[:, None] - weight).abs()  # of each pair: few, whatever the batch
        widths = nn.functional.linear(doubt, differences.flatten(0, 1))
        own = labels[:, None, None].expand(-1, 1, len(weight))
        width = widths.view(-1, *differences.shape[:2]).gather(1, own)[:, 0]
        return votes - votes.gather(1, labels[:, None]) + width

    def ahead(self, centre: Tensor, doubt: Tensor, labels: Tensor) -> Tensor:
        """Whether every gate of the true class holds for all signs of that centre and doubt [N]."""
        weight, bias = self.whole()
        middle, width = balance(weight, centre, doubt)
        shift = 2 * bias - weight.abs().sum(1)
        i, j = self.pairs()
        held = (middle - width >= shift) | (labels[:, None] != i)
        return (held & ((middle + width < shift) | (labels[:, None] != j))).all(1)

    def lipschitz(self, norm: str) -> float:
        return choice_constant(len(self.offset), norm)

    def extra_repr(self) -> str:
        classes, count = self.parameter.shape
        return f"{count}, {classes}"
