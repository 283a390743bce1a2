"""Running centres: what they subtract, where they stand, and how they are saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lipsort_cli.commands.wgan import build_task
from lipsort_cli.data import load
from lipsort_cli.gan.centring import RunningCentre, with_running_centres, without_centre
from lipsort_cli.gan.critics import LipschitzCritic
from lipsort_cli.layers import Dense
from lipsort_cli.layers.constraints import orthonormality_error
from lipsort_cli.training import engine
from lipsort_cli.zoo import build_mlp


def test_the_first_means_count_equally_and_later_ones_by_the_rate() -> None:
    torch.manual_seed(0)
    layer = RunningCentre(3)
    batches = [torch.randn(5, 3) + 2 for _ in range(150)]
    expected = torch.zeros(3)
    for i, batch in enumerate(batches):
        assert torch.allclose(layer(batch), batch - expected, atol=1e-6)
        layer.follow()
        layer.follow()  # nothing was seen since
        share = max(RunningCentre.RATE, 1 / (i + 1))
        expected = expected + share * (batch.mean(0) - expected)
        if i == 9:
            assert torch.allclose(layer.mean, torch.cat(batches[:10]).mean(0), atol=1e-6)
    layer.eval()
    layer(batches[0])
    layer.follow()
    assert torch.allclose(layer.mean, expected, atol=1e-5)
    # A function of the point alone: the same in another batch.
    assert torch.equal(layer(batches[0])[:1], layer(batches[0][:1]))
    assert layer.lipschitz("l2") == 1


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_they_stand_before_hidden_layers_but_the_first(depth: int) -> None:
    network = with_running_centres(build_mlp((6,), 1, [4] * depth))
    layers = list(network)
    followed = [layers[i + 1] for i, k in enumerate(layers) if isinstance(k, RunningCentre)]
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    assert followed == dense[1:-1]


def test_a_bias_takes_the_centre_in() -> None:
    torch.manual_seed(0)
    layer, centre, x = Dense(5, 4), torch.randn(5), torch.randn(7, 5)
    before = layer(x)
    assert torch.allclose(without_centre(layer, centre)(x), layer(x - centre), atol=1e-6)
    assert torch.equal(layer(x), before)


@pytest.mark.usefixtures("unpictured")
def test_training_moves_centres_to_what_layers_see(
    compose: Callable[..., Any], tmp_path: Path
) -> None:
    config = compose("training.steps=60", "critic.widths=[16,16,16]")
    task = build_task(config, load(config.data), torch.device("cpu"), tmp_path)
    assert isinstance(task.critic, LipschitzCritic)
    engine.run(task, engine.Session(tmp_path, "wgan"))
    network = task.critic.network.eval()
    noise = torch.randn(500, task.generator.latent)
    points = torch.cat([task.inputs[:500], task.generator(noise).detach()])
    seen = 0
    for layer in network:
        if isinstance(layer, RunningCentre):
            seen += 1
            assert float((points.mean(0) - layer.mean).norm()) < 0.2 * float(points.mean(0).norm())
        points = layer(points)
    assert seen == 2
    # 60 is no multiple of the steps between exact retractions: what is saved is exact all the same.
    for layer in task.critic.plain():
        if isinstance(layer, Dense):
            assert orthonormality_error(layer.weight) <= 1e-5
