"""An input of another shape than a layer takes is one message of ours, not torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lipsort_cli import layers
from lipsort_cli.errors import ArgumentError, UsageError
from lipsort_cli.layers import Convolution, Dense, Normalize, ReshapedConvolution
from lipsort_cli.layers import TransposedConvolution as Transposed
from lipsort_cli.layers.distance import Distance
from lipsort_cli.layers.order import Versus, WeightedOrder

CONVOLUTIONS = [
    kind
    for kind in vars(layers).values()
    if isinstance(kind, type) and issubclass(kind, Convolution) and kind is not Convolution
]
TAKES_THREE = [
    Dense(3, 2),
    Normalize([0.0] * 3, [1.0] * 3),
    Transposed(ReshapedConvolution(1, 3, 2, bias=False)),
    *(kind(3, 10, 3, padding=1) for kind in CONVOLUTIONS),
]


@pytest.mark.parametrize("layer", TAKES_THREE, ids=lambda layer: type(layer).__name__)
def test_channels_are_named_with_those_allowed(layer: nn.Module) -> None:
    for shape in ((), (4,), (2, 4), (2, 1, 4, 4), (2, 4, 6, 6)):
        with pytest.raises(ArgumentError, match=r"x: found .*; allowed: \[.*\b3\b"):
            layer(torch.zeros(shape))


@pytest.mark.parametrize("layer", [Distance(8, 4), WeightedOrder(8, 4), Versus(8, 3)])
def test_rows_are_all_that_order_statistics_take(layer: nn.Module) -> None:
    for shape in ((8,), (5, 7), (2, 5, 8)):
        for mode in (True, False):
            with pytest.raises(ArgumentError, match=r"x: found .*; allowed: \[N, 8\]"):
                layer.train(mode)(torch.zeros(shape))


def test_layers_without_numbers() -> None:
    with torch.device("meta"):
        network = nn.Sequential(Dense(8, 4), layers.MaxMin(), ReshapedConvolution(1, 3, 2)).eval()
    assert "8, 4, bias=True\n" in str(network)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_padding_that_is_wider_than_the_image(kind: type[Convolution]) -> None:
    layer = kind(10, 4, 5, padding=2, padding_mode="circular")
    with pytest.raises(UsageError, match=r"padding of 2 .* found 4x1 pixels; allowed: at least 2"):
        layer(torch.zeros(1, 10, 4, 1))
    layer = kind(10, 4, 5, padding=2)
    x = torch.randn(1, 10, 1, 1)
    expected = nn.functional.conv2d(x, layer.weight, layer.bias, padding=2)
    assert torch.allclose(layer(x), expected, atol=1e-5)
