"""Lipschitz critics from the zoo: every network, activation, constraint and optimizer trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lipsort_cli.commands.wgan import build_task, critic_constant
from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.models import ImageModel
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.config.wgan import KnownCritic
from lipsort_cli.data import load
from lipsort_cli.gan.training import GanTask
from lipsort_cli.training import engine
from lipsort_cli.zoo.plain import load_plain

Compose = Callable[..., Any]
IMAGES = [n for n in group_options("model", "wgan") if issubclass(GROUPS["model"][n], ImageModel)]
SMALL = ["model.channels=[4,8]", "model.widths=[8]"]
SETS = [name for name in group_options("constraint", "wgan") if name != "preset"]

CHOICES: list[list[str]] = [
    *([f"model={name}", "activation=maxmin", *SMALL] for name in IMAGES),
    ["model=mlp", "model.widths=[16,8]", "model.lipschitz=3"],
    ["model=mlp", "model.widths=[16]", "model.bias=false"],
    ["model=mlp_critic"],
    *(
        [f"activation={name}", "model=mlp", "model.widths=[16,16]"]
        for name in group_options("activation", "wgan")
    ),
    *([f"constraint={name}"] for name in SETS if name != "linf"),
    *(["constraint=linf", f"norm={norm}"] for norm in ("linf", "l1")),
    ["constraint=linf", "constraint.method=projection", "norm=linf", "optimizer=adam"],
    *([f"optimizer={name}"] for name in group_options("optimizer", "wgan")),
    *(
        ["model=lenet", "activation=maxmin", *SMALL, f"constraint={name}"]
        for name in ("bjorck", "spectral", "parseval", "aol")
    ),
    ["constraint=bjorck", "constraint.loose_iterations=3", "optimizer=adam"],
]


def task_of(config: Any, folder: Path) -> GanTask:
    return build_task(config, load(config.data), torch.device("cpu"), folder)


@pytest.mark.usefixtures("unpictured")
@pytest.mark.parametrize("overrides", CHOICES, ids=lambda o: " ".join(o))
def test_every_choice_trains_with_a_proven_constant(
    overrides: list[str], compose: Compose, tmp_path: Path
) -> None:
    config = compose(*overrides, "training.steps=3")
    task = task_of(config, tmp_path)
    engine.run(task, engine.Session(tmp_path, "wgan"))
    constant = critic_constant(task.critic, tmp_path)
    assert constant is not None
    nominal = config.network().model.lipschitz
    slack = 0.5 if "parseval" in str(overrides) else 1e-4
    assert constant <= nominal * (1 + slack)
    assert task.critic.known is not None and task.critic.known >= nominal
    assert task.latest["w1_lower"] >= 0
    data = task.dataset.test.inputs[:50]
    network = task.critic.network.eval()
    saved = load_plain(tmp_path / "critic.safetensors")
    with torch.no_grad():
        inputs = data.reshape(50, *network.input_shape)
        assert torch.allclose(saved(inputs), network(inputs), atol=1e-4)


def test_presets_are_choices_of_the_zoo(compose: Compose, tmp_path: Path) -> None:
    """What critic= leaves open, written out, gives the same weights, bit for bit."""
    explicit = [
        "model=mlp",
        "model.widths=[16,16]",
        "constraint=orthonormal",
        *(
            "optimizer=stiefel_adam",
            "optimizer.lr=4e-4",
            "optimizer.beta1=0",
            "optimizer.beta2=0.9",
        ),
    ]
    for first, second in [
        (["critic=groupsort"], []),
        (["critic=groupsort"], [*explicit, "activation=fullsort"]),
        (["critic=relu"], [*explicit, "activation=relu"]),
        (
            ["critic=groupsort", "critic.channels=[4,8]"],
            [
                *(*explicit, "activation=fullsort", "model=dcgan_critic"),
                "model.channels=[4,8]",
            ],
        ),
    ]:
        found = []
        for overrides in (first, second):
            task = task_of(compose(*overrides, "training.steps=2"), tmp_path)
            task.step()
            found.append(task.critic.network.state_dict())
        assert found[0].keys() == found[1].keys()
        assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_keys_that_are_not_read_are_named(compose: Compose) -> None:
    config = compose("model=mlp", "critic.lipschitz=3", "optimizer=adam", "critic.lr=0.1")
    assert list(config.warnings()) == [
        "critic.widths=[16, 16] has no effect with model=mlp",
        "critic.lipschitz=3.0 has no effect with model=mlp",
        "critic.lr=0.1 has no effect with optimizer=adam",
    ]
    assert isinstance(config.critic, KnownCritic)
    assert not list(compose("critic.lr=0.1").warnings())


@pytest.mark.usefixtures("unpictured")
def test_loose_iterations_end(compose: Compose, tmp_path: Path) -> None:
    config = compose("constraint=bjorck", "constraint.loose_iterations=3", "training.steps=10")
    task = task_of(config, tmp_path)
    dense = next(layer for layer in task.critic.network if hasattr(layer, "constraint"))
    used = []
    task.critic.network.register_forward_pre_hook(
        lambda *_: used.append(dense.constraint.current_iterations)  # type: ignore[union-attr]
    )
    engine.run(task, engine.Session(tmp_path, "wgan"))
    assert used[0] == 3 and used[-1] == 20
