"""An ensemble is the mean of its members, trained apart, and one network of the same constant."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from lipsort_cli.certificates.points import lipschitz_bound, load_network
from lipsort_cli.commands.train import build_task
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.typed import faults_of, to_typed
from lipsort_cli.data import load
from lipsort_cli.layers import MaxMin
from lipsort_cli.optim import build_optimizer
from lipsort_cli.training.losses import worst_class_hinge
from lipsort_cli.zoo import Ensemble, build_mlp, save_network
from lipsort_cli.zoo.mlp import build_ensemble


def ensemble(members: int = 3) -> Ensemble:
    torch.manual_seed(0)
    network = build_ensemble((4, 3), 5, [8, 6], MaxMin, members)
    for parameter in network.parameters():  # biases too
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, -0.1, 0.1)
    return network


def member(network: Ensemble, k: int) -> nn.Module:
    """The k-th network by itself."""
    single = build_mlp((4, 3), 5, [8, 6])
    size, count = len(network.head.parameter), len(single)  # type: ignore[arg-type]
    for i in (1, 3, 5):
        weight, bias = network[i].parameter[k], network[i].bias
        own = bias.view(size, -1)[k] * size**0.5 if i < count - 1 else bias
        single[i].load_state_dict({"parameter": weight, "bias": own})
    return single


@pytest.mark.parametrize("members", [1, 2, 3])
def test_the_mean_of_its_members(members: int) -> None:
    network, x = ensemble(members), torch.randn(7, 4, 3)
    each = torch.stack([member(network, k)(x) for k in range(members)])
    torch.testing.assert_close(network.apart()(x), each)
    for mode in (True, False):
        torch.testing.assert_close(network.train(mode)(x), each.mean(0))
    shifted = network.behind([1.0] * 4, [2.0] * 4)
    assert isinstance(shifted, Ensemble)
    torch.testing.assert_close(shifted(2 * x + 1), each.mean(0))


def test_its_constant_is_that_of_one_after_training(tmp_path: Path) -> None:
    network = ensemble()
    optimizer = build_optimizer(network)
    loss = partial(worst_class_hinge, margin=3.0)
    for _ in range(5):
        optimizer.zero_grad()
        outputs = network.apart()(torch.randn(9, 4, 3)).flatten(0, 1)
        loss(outputs, torch.arange(27) % 5).backward()
        optimizer.step()
    save_network(network.eval(), tmp_path / "model.safetensors")
    assert 0.5 < lipschitz_bound(load_network(tmp_path / "model.safetensors"), "l2").value < 1.00001


def test_members_are_trained_by_losses_of_their_own() -> None:
    overrides = ["model=ensemble", "model.members=2", "training.precision=float32"]
    with Composer("train") as composer:
        config = to_typed(composer.compose([*overrides, "device=cpu"]), "train")
        faults = faults_of(composer.compose([*overrides, "activation=fullsort"]), "train")
        faults += faults_of(composer.compose([*overrides, "constraint=bjorck"]), "train")
    assert ["found fullsort" in faults[0], "found bjorck" in faults[1]] == [True, True]
    task = build_task(config, load(config.data), torch.device("cpu"))
    x, y = task.inputs[:20], task.labels[:20]
    logits, loss = task._logits_and_loss(x, y)
    assert isinstance(task.network, Ensemble)
    first, second = task.network.apart()(x)
    torch.testing.assert_close(logits, (first + second) / 2)
    torch.testing.assert_close(loss, (task.loss(first, y) + task.loss(second, y)) / 2)
    assert not torch.allclose(loss, task.loss(logits, y))
