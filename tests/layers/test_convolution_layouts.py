"""Ways to compute a convolution, and orders of its inputs in memory: all give the same."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from operators import same_function

from lipsort_cli.layers import (
    Convolution,
    Dense,
    L2Pool,
    OrthogonalConvolution,
    ReshapedConvolution,
    ShiftConvolution,
)
from lipsort_cli.layers.activations import channels_lie_last
from lipsort_cli.layers.extension import Extension


@pytest.mark.parametrize(("stride", "sides"), [(1, (5, 4)), (2, (6, 8)), (2, (7, 5)), (3, (9, 4))])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_windows_side_by_side_are_a_product(
    stride: int, sides: tuple[int, int], bias: bool, last: bool
) -> None:
    torch.manual_seed(0)
    layer = OrthogonalConvolution(3, 5, stride, stride=stride, bias=bias).double()
    form = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(2, 3, *sides, dtype=torch.double).contiguous(memory_format=form)
    same_function(layer, x)
    assert channels_lie_last(layer(x)) == last


@pytest.mark.parametrize("channels", [7, 8, 12])
@pytest.mark.parametrize("options", [
    {"padding": 1}, {"padding": 1, "padding_mode": "circular"}, {"stride": 2}, {"dilation": 2},
    {"groups": 1, "bias": False},
], ids=str)  # fmt: skip
def test_channels_last_in_memory_are_the_same_convolution(
    channels: int, options: dict[str, Any]
) -> None:
    """In single precision, to rounding, of inputs as they lie and under vmap."""
    torch.manual_seed(0)
    layer = ReshapedConvolution(channels, 16, 3, **options)
    x = torch.randn(3, channels, 8, 8)
    expected = copy.deepcopy(layer).double()(x.double())
    for form in (torch.contiguous_format, torch.channels_last):
        found = layer(x.contiguous(memory_format=form))
        assert torch.allclose(found.double(), expected, atol=1e-5)
        if form == torch.contiguous_format:
            assert channels_lie_last(found) == (channels >= 8)
    each = torch.vmap(lambda one: layer(one[None])[0])(x)
    assert torch.allclose(each.double(), expected, atol=1e-5)


_ONE_TAP = """
import copy, torch
from lipsort_cli.layers import ReshapedConvolution
for channels in (4, 8, 12):
    layer = ReshapedConvolution(channels, 16, 1, stride=2)
    x = torch.randn(2, 12, 12, channels).movedim(-1, 1)
    for _ in range(30):
        layer.zero_grad()
        layer(x).sum().backward()
    exact = copy.deepcopy(layer).double()
    exact.zero_grad()
    exact(x.double()).sum().backward()
    for one, other in zip(layer.parameters(), exact.parameters()):
        assert torch.allclose(one.grad.double(), other.grad, atol=1e-4)
"""


def test_one_tap_with_a_stride_writes_within_bounds() -> None:
    """In a process of its own: torch's own gradient of few channels that lie last ends it."""
    checked = os.environ | {"MALLOC_CHECK_": "3", "GLIBC_TUNABLES": "glibc.malloc.check=3"}
    done = subprocess.run(
        [sys.executable, "-c", _ONE_TAP], env=checked, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["kernel", "windows", "shift"])
def test_one_image_alone_is_a_batch_of_one(name: str) -> None:
    """As of ``torch.nn.Conv2d``; with as many rows as channels, which could be taken for them."""
    torch.manual_seed(0)
    layer: Convolution = {
        "kernel": lambda: ReshapedConvolution(8, 8, 3, padding=1),
        "windows": lambda: OrthogonalConvolution(8, 8, 2, stride=2),
        "shift": lambda: ShiftConvolution(8, 8, 3, padding=1),
    }[name]()
    x = torch.randn(8, 8, 8)
    assert torch.allclose(layer(x), layer(x[None])[0], atol=1e-6)


@pytest.mark.parametrize("layer", [
    OrthogonalConvolution(8, 4, 3, padding=1), ShiftConvolution(8, 4, 3, padding=1), L2Pool(2),
    torch.nn.Sequential(torch.nn.Flatten(), Dense(128, 4)),
    torch.nn.Sequential(torch.nn.Flatten(), Extension(torch.zeros(3, 128))),
], ids=lambda layer: type(layer).__name__)  # fmt: skip
def test_shapes_are_found_without_numbers(layer: torch.nn.Module) -> None:
    expected = layer(torch.zeros(2, 8, 4, 4)).shape
    assert copy.deepcopy(layer).to("meta")(torch.zeros(2, 8, 4, 4, device="meta")).shape == expected
