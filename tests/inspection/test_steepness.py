"""The constant found by search: never above what is proven, and what a linear network has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lipsort_cli.inspection.steepness import entry, steepness


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("linf", np.inf), ("l1", 1)])
def test_a_linear_network_is_as_steep_as_its_matrix(norm: str, order: float) -> None:
    torch.manual_seed(0)
    first, last = nn.Linear(6, 5), nn.Linear(5, 3)
    network = nn.Sequential(nn.Flatten(), first, last)
    found = steepness(network, torch.randn(4, 2, 3), norm)
    whole = (last.weight @ first.weight).detach().double().numpy()
    assert found.found == pytest.approx(np.linalg.norm(whole, order), rel=1e-5)
    assert found.layers == [[0, 1], [2]]
    assert np.prod(found.used) == pytest.approx(found.found)
    assert found.used[-1] == pytest.approx(
        np.linalg.norm(last.weight.detach().double().numpy(), order), rel=1e-5
    )


def test_search_finds_steeper_points_and_names_what_loses() -> None:
    """f(x) = relu(x - 3) with slope 2 behind: flat at every point that is looked at first."""
    bend = nn.Linear(1, 1)
    with torch.no_grad():
        bend.weight.fill_(2.0)
        bend.bias.fill_(-6.0)
    network = nn.Sequential(bend, nn.ReLU(), nn.Linear(1, 2))
    x = torch.linspace(-1, 2.9, 9)[:, None]
    steep = steepness(network, torch.cat([x, torch.tensor([[3.5]])]), "l2")
    assert steep.found == pytest.approx(2 * float(network[2].weight.detach().norm()), rel=1e-5)
    told = entry(steep, 9.0, [9.0, 1.0, 1.0], ["dense", "relu", "dense"])
    assert "at most 9 (proven)" in told["interpretation"]
    assert "layer 0 (dense), at most 9 and 2 used" in told["interpretation"]
    assert told["at_least"]["evidence"] == "empirical"
