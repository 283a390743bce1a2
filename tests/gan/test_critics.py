"""Critics: constants that are what they are said to be, and what keeps each kind in its set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lipsort_cli.commands.wgan import build_task, critic_constant
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.data import load
from lipsort_cli.errors import UsageError
from lipsort_cli.gan.critics import critic_loss, gradient_norms, make_critic
from lipsort_cli.gan.training import GanTask
from lipsort_cli.layers import Dense
from lipsort_cli.training import engine

Compose = Callable[..., Any]


def trained(compose: Compose, folder: Path, *overrides: str) -> GanTask:
    config = compose(*overrides)
    task = build_task(config, load(config.data), torch.device("cpu"), folder)
    engine.run(task, engine.Session(folder, "wgan"))
    return task


def steepest(network: nn.Module, points: torch.Tensor) -> float:
    random = torch.Generator().manual_seed(0)
    return float(gradient_norms(network, points, points.flip(0), random).max())


@pytest.mark.usefixtures("unpictured")
@pytest.mark.parametrize("channels", ["[]", "[4,8]"])
@pytest.mark.parametrize("name", sorted(GROUPS["critic"]))
def test_proven_constants_hold_after_training(
    name: str, channels: str, compose: Compose, tmp_path: Path
) -> None:
    task = trained(compose, tmp_path, f"critic={name}", f"critic.channels={channels}")
    network = task.critic.network
    batch_norms = [m for m in network.modules() if "Norm" in type(m).__name__.replace("ize", "")]
    assert not [m for m in batch_norms if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    constant = critic_constant(task.critic, tmp_path)
    assert constant is not None
    data = task.dataset.test.inputs[:200]
    assert steepest(network, data) <= constant * (1 + 1e-5)
    if task.critic.known is not None:
        assert constant == pytest.approx(task.critic.known, rel=1e-4)
    # What is saved is what was trained.
    with torch.no_grad():
        saved = task.critic.plain()(data)
        assert torch.allclose(saved, network.eval()(data), atol=1e-5)


@pytest.mark.usefixtures("unpictured")
def test_a_constant_other_than_one(compose: Compose, tmp_path: Path) -> None:
    task = trained(compose, tmp_path, "critic.lipschitz=7", "critic.activation=fullsort")
    constant = critic_constant(task.critic, tmp_path)
    assert constant is not None
    assert constant == pytest.approx(7, rel=1e-4)
    gap = task.latest["critic_gap"]
    assert task.latest["w1_lower"] == pytest.approx(max(gap, 0) / 7)


@pytest.mark.usefixtures("unpictured")
def test_clipped_weights_stay_clipped(compose: Compose, tmp_path: Path) -> None:
    task = trained(compose, tmp_path, "critic=clip", "critic.clip=0.03")
    weights = torch.cat([p.detach().flatten() for p in task.critic.network.parameters()])
    assert weights.abs().max() <= 0.03
    assert (weights.abs() == 0.03).any()


def test_the_penalty_of_a_known_critic_in_closed_form(compose: Compose) -> None:
    config = compose("critic=gp", "critic.penalty=10")
    critic = make_critic(config, (3,), centre=torch.zeros(3), spread=3.0)
    points = torch.randn(5, 3)
    for slope in (0.25, 1.0, 4.0):

        def f(x: torch.Tensor, slope: float = slope) -> torch.Tensor:
            return slope * x[:, 0]

        penalty = critic.penalty(f, points, points + 1, torch.Generator().manual_seed(0))
        assert float(penalty) == pytest.approx(10 * (slope - 1) ** 2, abs=1e-4)
    # A critic that is constant has a slope of 0, and a penalty with a finite gradient.
    weight = torch.zeros(3, requires_grad=True)
    penalty = critic.penalty(
        lambda x: (x * weight).sum(1), points, points, torch.Generator().manual_seed(0)
    )
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert gradient.isfinite().all()


def test_more_power_iterations_are_closer_to_the_nominal_constant(
    compose: Compose, tmp_path: Path
) -> None:
    def excess(iterations: int) -> float:
        torch.manual_seed(0)
        config = compose("critic=sn", f"critic.iterations={iterations}")
        critic = make_critic(config, (40,), centre=torch.zeros(40), spread=2.0)
        critic.network.train()(torch.zeros(1, 40))
        product = 1.0
        for layer in critic.network.eval():
            if isinstance(layer, Dense):
                product *= float(torch.linalg.matrix_norm(layer.weight.detach(), 2))
        return product

    assert excess(50) == pytest.approx(1, abs=0.02)
    assert excess(1) > excess(50)


def test_losses() -> None:
    real, fake = torch.tensor([0.5, 3.0]), torch.tensor([-2.0, 0.0])
    assert float(critic_loss("wasserstein", real, fake)) == pytest.approx(-1.0 - 1.75)
    assert float(critic_loss("hinge", real, fake)) == pytest.approx(0.25 + 0.5)
    with pytest.raises(ValueError, match="wasserstein, hinge"):
        critic_loss("other", real, fake)


def test_convolutions_need_images_that_are_large_enough(compose: Compose) -> None:
    for name in GROUPS["critic"]:
        config = compose(f"critic={name}", "critic.channels=[2,2,2,2]", "critic.widths=[]")
        with pytest.raises(UsageError, match=r"critic\.channels: .* can be halved 3 times"):
            make_critic(config, (1, 8, 8), centre=torch.zeros(1, 8, 8), spread=1.0)
        with pytest.raises(UsageError, match=r"critic\.channels: .* are no images"):
            make_critic(config, (8,), centre=torch.zeros(8), spread=1.0)
