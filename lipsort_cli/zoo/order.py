"""Networks of weighted order statistics: binary networks that hold at every level at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from lipsort_cli.config.distance import OrderModel
from lipsort_cli.devices import without_autocast
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import Concatenate, Normalize
from lipsort_cli.layers.order import Versus, WeightedOrder, signs
from lipsort_cli.layers.order_filter import OrderFilter, covered
from lipsort_cli.zoo.network import Network


class OrderNetwork(Network):
    """x - middle, layers of :class:`~lipsort_cli.layers.order.WeightedOrder`, a ``Versus`` head.

    Every logit is 1-Lipschitz in L-infinity. Trained through :meth:`worst_case`, at the level
    ``radius``, reached in equal steps over the first share ``ramp`` of training;
    :attr:`progress` says how far that is. With ``spread`` s each example has a level of its own,
    uniform between 1 - s times that and that: smaller radii keep their part of the votes.

    Of several ``members`` the layers stand side by side, and the head adds up their votes. Each is
    trained by itself, in its first weights alone unlike the others.
    """

    progress: float = 1.0

    def __init__(
        self,
        layers: Sequence[nn.Module],
        input_shape: Sequence[int],
        outputs: int,
        model: OrderModel,
    ) -> None:
        super().__init__(layers, input_shape, outputs)
        self.radius, self.ramp, self.spread = model.radius, model.ramp, model.spread
        self.members = model.members

    @property
    def level(self) -> float:
        """How far every input may move at this moment of training."""
        return self.radius * min(1.0, self.progress / self.ramp if self.ramp else 1.0)

    def _signs(self, inputs: Tensor, level: float | Tensor) -> tuple[Tensor, Tensor]:
        """Centre and doubt of the signs that the head takes."""
        normalize, flatten, *layers = list(self)[:-1]
        found = signs(flatten(normalize(inputs)), level)
        return _gates(layers, *found)

    def worst_case(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Logits less the true one, at their worst within :attr:`level`: for a loss.

        [members N, C], each member's own, whose votes are added up. Positive differences mean that
        another class may be ahead of the true one.
        """
        head = self.head
        assert isinstance(head, Versus)
        level: float | Tensor = self.level
        if self.spread:
            level = level * (1 - self.spread * torch.rand(len(inputs), 1, device=inputs.device))
        found = self._signs(inputs, level)
        with without_autocast(inputs.device):
            return head.worst_case(*found, labels, self.members)

    @torch.no_grad()
    def holds(self, inputs: Tensor, labels: Tensor, radius: float) -> Tensor:
        """Whether the true class is ahead within ``radius`` [N]: f_y >= radius, and f_y > 0.

        Two products of matrices a layer, where the logits themselves need ranks. Quick, in float32
        as the inputs are centred there; a certificate comes from the logits.
        """
        head = self.head
        assert isinstance(head, Versus)
        level = max(radius, torch.finfo(torch.float32).tiny)
        return head.ahead(*self._signs(inputs, level), labels)


def _gates(layers: Iterable[nn.Module], centre: Tensor, doubt: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and doubt of the signs after ``layers``, which may be side by side."""
    for layer in layers:
        if isinstance(layer, Concatenate):
            parts = [_gates(chain, centre, doubt) for chain in _chains(layer)]
            centre, doubt = (torch.cat(side, 1) for side in zip(*parts, strict=True))
        else:
            assert isinstance(layer, WeightedOrder)
            centre, doubt = layer.gates(centre, doubt)
    return centre, doubt


def _chains(layer: Concatenate) -> Iterator[nn.Sequential]:
    for chain in layer.branches:
        assert isinstance(chain, nn.Sequential)
        yield chain


def build_order(model: OrderModel, input_shape: Sequence[int], outputs: int) -> OrderNetwork:
    """The network of the configuration ``model``: [N, *input_shape] to [N, outputs], at least 2.

    Raises:
        UsageError: windows of inputs that are no images, or that do not cover them.

    Example:
        >>> from lipsort_cli.config.distance import OrderModel
        >>> network = build_order(OrderModel(widths=[16]), (1, 8, 8), 10)
        >>> network(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    chains = [_member(model, input_shape) for _ in range(model.members)]
    features = sum(width for _, width in chains)
    layers: list[nn.Module] = [Normalize([model.middle], [1.0]), nn.Flatten()]
    layers += chains[0][0] if len(chains) == 1 else [Concatenate(chain for chain, _ in chains)]
    layers.append(Versus(features, outputs))
    return OrderNetwork(layers, input_shape, outputs, model)


def _member(model: OrderModel, input_shape: Sequence[int]) -> tuple[list[nn.Module], int]:
    """The hidden layers of one network, and how many features come out of them."""
    layers: list[nn.Module] = []
    features = math.prod(input_shape)
    if model.filters:
        if not covered(input_shape, model.side, model.stride):
            raise UsageError(
                f"model.side, model.stride: found windows of side {model.side}, {model.stride} "
                f"apart, and inputs of shape {list(input_shape)}; allowed: images of at least that "
                "size, each side the window's and a multiple of the stride more"
            )
        at = {"side": model.side, "stride": model.stride}
        filters = OrderFilter(
            input_shape, model.filters, slope=model.slope, slack=model.slack, **at
        )
        layers.append(filters)
        features = filters.out_features
    for width in model.widths:
        layers.append(WeightedOrder(features, width, model.slope, model.slack))
        features = width
    return layers, features
