"""Certified, attacked and clean accuracy are in order, to the last bit of a radius."""

from __future__ import annotations

import pytest
import torch

from lipsort_cli.certificates.points import certify_points
from lipsort_cli.config.train import TrainConfig
from lipsort_cli.data.dataset import Dataset, Split
from lipsort_cli.layers import Dense, Normalize
from lipsort_cli.layers.constraints import Unconstrained
from lipsort_cli.training.evaluation import evaluate
from lipsort_cli.verifier.graph import parse_network
from lipsort_cli.zoo import Network, network_bytes


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
@pytest.mark.parametrize("arithmetic", ["real", "binary64", "binary32"])
def test_no_attack_at_a_certified_radius_succeeds(norm: str, arithmetic: str) -> None:
    """A linear network's radius is the distance of its boundary: float32 decides on which side."""
    torch.manual_seed(0)
    network = Network([Normalize([0.3] * 6, [0.7] * 6), Dense(6, 2)], (6,), 2)
    plain = parse_network(network_bytes(network))
    inputs = torch.rand(6, 6)
    labels = network(inputs).argmax(1).detach()
    test = Split(inputs, labels)
    dataset = Dataset("points", test, test, test, 2, None)
    points = certify_points(plain, inputs.numpy(), None, norm=norm, arithmetic=arithmetic)
    config = TrainConfig(model=None, activation=None, constraint=None, data=None, loss=None)
    config.evaluation.norm, config.evaluation.arithmetic = norm, arithmetic
    config.evaluation.eps = sorted({float(radius) for radius in points.radii})
    config.evaluation.attack.steps = 5
    found = evaluate(network, plain, dataset, config, torch.device("cpu"))
    for eps, certified in found.certified.items():
        assert certified <= found.attacked[eps] <= found.clean == 1.0
    # The attack is as good as one can be: a little further every point falls.
    config.evaluation.eps = [share * max(config.evaluation.eps) for share in (1.01, 1.02)]
    beyond = evaluate(network, plain, dataset, config, torch.device("cpu"))
    assert [*beyond.attacked.values()] == [0, 0]


@pytest.mark.parametrize("arithmetic", ["real", "binary64"])
def test_what_float32_ties_is_not_certified_beyond_clean(arithmetic: str) -> None:
    """1 + 2^-25 is 1 in float32: a tie there, and a margin in the arithmetic of the certificate."""
    layer = Dense(2, 2, bias=False, constraint=Unconstrained())
    with torch.no_grad():
        layer.parameter.copy_(torch.tensor([[1.0, 2.0**-25], [1.0, 0.0]]))
    network = Network([layer], (2,), 2)
    plain = parse_network(network_bytes(network))
    test = Split(torch.ones(1, 2), torch.zeros(1, dtype=torch.int64))
    dataset = Dataset("points", test, test, test, 2, None)
    config = TrainConfig(model=None, activation=None, constraint=None, data=None, loss=None)
    config.evaluation.arithmetic, config.evaluation.eps = arithmetic, [1e-9]
    found = evaluate(network, plain, dataset, config, torch.device("cpu"))
    assert found.certified == {"1e-09": 1.0} and found.clean == 1.0
