"""Constrained layers under optimizers that know nothing of constraints."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lipsort_cli.layers import (
    AolConvolution,
    ConstrainedLayer,
    Convolution,
    Dense,
    OrthogonalConvolution,
    ReshapedConvolution,
    ShiftConvolution,
    SpectralConvolution,
    TransposedConvolution,
)
from lipsort_cli.layers import constraints as sets
from lipsort_cli.layers.base import LeftConstraintSet
from lipsort_cli.layers.distance import Distance
from lipsort_cli.layers.order import WeightedOrder
from lipsort_cli.layers.order_filter import OrderFilter
from lipsort_cli.layers.side_by_side import SideBySide
from lipsort_cli.optim import build_optimizer, keep_constraints

README = Path(__file__).parents[2] / "README.md"

SETS: list[type[sets.Constraint]] = [
    sets.Aol,
    sets.Bjorck,
    sets.LinfForward,
    sets.LinfProjection,
    sets.LinfSoftmax,
    sets.Orthonormal,
    sets.Parseval,
    sets.RowsL2,
    sets.Spectral,
    sets.SpectralBall,
    sets.Unconstrained,
]
LAYERS: dict[str, Callable[[], nn.Module]] = {
    **{f"Dense {one.__name__}": lambda one=one: Dense(6, 5, constraint=one()) for one in SETS},
    **{
        f"ReshapedConvolution {one.__name__}": (
            lambda one=one: ReshapedConvolution(2, 4, 3, groups=2, constraint=one)
        )
        for one in SETS
    },
    "OrthogonalConvolution": lambda: OrthogonalConvolution(2, 4, 3),
    "ShiftConvolution": lambda: ShiftConvolution(5, 4, 3, padding=1),
    "AolConvolution": lambda: AolConvolution(2, 4, 3),
    "SpectralConvolution": lambda: SpectralConvolution(2, 4, 3),
    "SideBySide": lambda: SideBySide(3, 6, 5, "middle"),
    "TransposedConvolution": lambda: TransposedConvolution(
        OrthogonalConvolution(3, 2, 2, bias=False)
    ),
}
"""Every kind of constrained layer, with every set."""
MAY_LEAVE = {"Orthonormal", "SideBySide", "LinfProjection", "Parseval"}
"""Sets that only a retraction keeps."""


def everything(kind: type) -> set[type]:
    return {kind, *(one for child in kind.__subclasses__() for one in everything(child))}


def far_from_home(network: nn.Module, prepare: Callable[[Any], Any], lr: float = 0.5) -> None:
    """Fifty steps of torch's Adam that ask every weight to grow."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    prepare(optimizer)
    for _ in range(50):
        optimizer.zero_grad()
        loss = sum(p.square().sum() for p in network.parameters())
        (-loss).backward()  # type: ignore[union-attr]
        optimizer.step()


def leaves(name: str) -> bool:
    return name.startswith(("Orth", "Shift", "Transposed")) or name.split(" ")[-1] in MAY_LEAVE


def test_every_layer_and_every_set_is_here() -> None:
    package = {one for one in everything(ConstrainedLayer) if "lipsort_cli" in one.__module__}
    assert {one.__name__ for one in package} - {"ConstrainedLayer", "Convolution"} == {
        name.split(" ")[0] for name in LAYERS
    }
    assert Convolution in package
    assert {one.__name__ for one in SETS} == {
        name
        for name in sets.__all__
        if isinstance(getattr(sets, name), type) and name != "Constraint"
    }


@pytest.mark.parametrize("name", LAYERS)
def test_a_weight_that_left_its_set_is_reported(name: str) -> None:
    layer = LAYERS[name]()
    before = repr(layer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer.eval()
    far_from_home(layer, lambda optimizer: None)
    if not leaves(name):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            layer.eval()
        return
    with pytest.warns(LeftConstraintSet, match="build_optimizer.*keep_constraints") as caught:
        layer.eval()
    assert "at most" in str(caught[0].message)
    assert repr(layer) != before


@pytest.mark.parametrize("name", [name for name in LAYERS if "Parseval" not in name])
def test_kept_constraints_hold_under_another_optimizer(name: str) -> None:
    network = nn.Sequential(LAYERS[name]())
    far_from_home(network, lambda optimizer: keep_constraints(optimizer, network), lr=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.eval()
    for layer in network.modules():
        if isinstance(layer, ConstrainedLayer):
            for own, parameter in layer.constrained():
                if own.kept_within is not None:
                    assert own.violation(parameter) <= 1e-5


UNBOUND: dict[str, Callable[[], nn.Module]] = {
    "Distance": lambda: Distance(3, 4),
    "WeightedOrder": lambda: WeightedOrder(3, 4),
    "OrderFilter": lambda: OrderFilter((1, 5, 5), 4, side=3, stride=1),
}
"""Layers that compute a weight without a set that it is in."""


@pytest.mark.parametrize("name", LAYERS | UNBOUND)
def test_what_is_computed_is_not_assigned(name: str) -> None:
    """And what is said to be assigned instead can be, and ties the layers."""
    layer, other = ((LAYERS | UNBOUND)[name]() for _ in range(2))
    given = {one: parameter.detach().clone() for one, parameter in layer.named_parameters()}
    for value in (other.weight, nn.Parameter(torch.zeros(5, 6)), None):
        with pytest.raises(ValueError, match="^weight: found an assignment.*allowed: ") as said:
            layer.weight = value
    for one, parameter in layer.named_parameters():
        assert torch.equal(parameter, given[one])
    for line in str(said.value).partition("such as ")[2].split(" or "):
        exec(line)
    assert torch.allclose(layer.weight, other.weight, atol=1e-5)


def test_every_layer_that_computes_its_weight_is_here() -> None:
    def computes(kind: type) -> bool:
        return isinstance(getattr(kind, "weight", None), property)

    found = {one for one in everything(nn.Module) if computes(one)}
    named = {one.__name__ for one in found if "lipsort_cli" in one.__module__}
    assert named - {"ConstrainedLayer", "Convolution"} == {
        name.split(" ")[0] for name in LAYERS | UNBOUND
    }


def test_a_print_shows_the_constant_as_it_is_now() -> None:
    layer = Dense(40, 30, bias=False)
    assert "40, 30, bias=False, Lipschitz constant at most 1.0000" in repr(layer)
    with torch.no_grad():
        layer.parameter.mul_(13.9)
    (shown,) = re.findall(r"at most (\S+) in l2", repr(layer))
    assert 13.9 <= float(shown) < 13.91
    linf = Dense(4, 3, constraint=sets.LinfSoftmax())
    assert "in linf" in repr(linf)
    broken = Dense(4, 3)
    with torch.no_grad():
        broken.parameter.fill_(float("nan"))
    assert "at most nan" in repr(broken)
    assert repr(Dense(4, 3).to("meta")).startswith("Dense(\n  4, 3, bias=True\n")


def test_keeping_ends_with_the_handle_and_needs_constraints() -> None:
    layer = Dense(4, 3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5)
    keep_constraints(optimizer, layer).remove()
    layer(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    assert layer.lipschitz("l2") > 1.1
    with pytest.raises(ValueError, match="found no layer with a constraint"):
        keep_constraints(optimizer, nn.Linear(2, 2))
    with pytest.raises(ValueError, match="network: found nothing to train in ReLU"):
        build_optimizer(nn.ReLU())


def test_the_readme_says_how() -> None:
    text = README.read_text()
    (code,) = re.findall(r"### From Python\n\n```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 12
    found: dict[str, Any] = {}
    exec(code, found)
    net, optimizer = found["net"], found["optimizer"]
    for chosen in (optimizer, build_optimizer(net)):
        for _ in range(2):
            chosen.zero_grad()
            net(torch.randn(8, 784)).square().sum().backward()
            chosen.step()
        for layer in (net[0], net[2]):
            assert layer.lipschitz("l2") <= 1 + 1e-5
