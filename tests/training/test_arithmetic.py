"""Whatever is compared with a certificate is computed in the arithmetic that the certificate names.

TF32, bfloat16 in place of float32, reduced sums and convolutions by transforms are switched on
beforehand, as a user's own code may; wherever a network is then judged they are off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from lipsort_cli.arithmetic import _settings, certified_arithmetic, judging_device
from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.commands import export
from lipsort_cli.config.data import DigitsData
from lipsort_cli.data import load
from lipsort_cli.inspection.measure import measure
from lipsort_cli.training.evaluation import evaluate
from lipsort_cli.verifier.graph import build_network
from lipsort_cli.wasserstein.critic import critic_values
from lipsort_cli.zoo import build_mlp, network_graph
from lipsort_cli.zoo.plain import plain_module

sys.path.insert(0, str(Path(__file__).parents[1] / "certificates"))
from certificate_networks import mlp, save


def state() -> list[Any]:
    """Every setting as it is now."""
    found = [getattr(part, name) for part, name, _ in _settings()]
    return [*found, torch._C._get_nnpack_enabled(), torch.is_autocast_enabled("cpu")]


CERTIFIED = [value for _, _, value in _settings()] + [False, False]


@pytest.fixture
def careless() -> Iterator[list[Any]]:
    """Every setting the other way."""
    before = state()
    for part, name, value in _settings():
        wrong = not value
        if name == "fp32_precision":
            wrong = "tf32" if part is torch.backends.cuda.matmul else "bf16"  # type: ignore[assignment]
        if name == "precision":  # of torch before 2.9
            wrong = "medium"  # type: ignore[assignment]
        setattr(part, name, wrong)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield state()
    for (part, name, _), value in zip(_settings(), before, strict=False):
        setattr(part, name, value)


@pytest.fixture
def seen() -> Iterator[list[list[Any]]]:
    """The settings under which any module of torch was called."""
    found: list[list[Any]] = []
    hook = register_module_forward_pre_hook(lambda *_: found.append(state()))
    yield found
    hook.remove()


def test_settings_are_made_and_made_undone(careless: list[Any]) -> None:
    assert all(a != b for a, b in zip(careless, CERTIFIED, strict=True))
    with certified_arithmetic():
        assert state() == CERTIFIED
        with certified_arithmetic():
            assert state() == CERTIFIED
        assert state() == CERTIFIED
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert state() == careless
    with pytest.raises(ZeroDivisionError), certified_arithmetic():
        _ = 1 / 0
    assert state() == careless
    assert judging_device(torch.device("mps")).type == "cpu"
    assert judging_device(torch.device("cuda", 1)) == torch.device("cuda", 1)


@pytest.mark.usefixtures("careless")
def test_products_are_those_of_float32() -> None:
    """Where a processor multiplies in bfloat16, errors are a thousand times what is allowed."""
    x = torch.rand(64, 64)
    with certified_arithmetic():
        assert torch.allclose((x @ x).double(), x.double() @ x.double(), rtol=1e-5)


def train_evaluation(folder: Path) -> None:
    dataset = load(DigitsData(validation=0.0))
    network = build_mlp(dataset.input_shape, 10, [8, 8])
    with certified_arithmetic():
        graph, tensors = network_graph(network)
    plain = build_network(graph, {name: value.numpy() for name, value in tensors.items()})
    attack = SimpleNamespace(points=20, steps=2, restarts=2)
    chosen = SimpleNamespace(norm="l2", eps=[0.1], arithmetic="binary32", attack=attack)
    evaluate(
        network,
        plain,
        dataset,
        SimpleNamespace(evaluation=chosen, seed=0),
        torch.device("cpu"),
    )


def campaign(folder: Path) -> None:
    net = mlp(0)
    x = np.random.default_rng(0).random((6, *net.input_shape), dtype=np.float32)
    runs = Campaign(net, norm="l2", arithmetic="binary32", bounds=None, steps=2)
    runs.run(["fgsm", "pgd", "deepfool", "rounding"], x, np.zeros(6, int), np.ones(6), [0.1])
    runs.fooled(torch.from_numpy(x), torch.zeros(6, dtype=torch.long))


def exports(folder: Path) -> None:
    net = mlp(0)
    path = save(net, folder / "model.safetensors")
    x = np.random.default_rng(0).random((6, *net.input_shape), dtype=np.float32)
    trained: Any = SimpleNamespace(network=path, inputs=x)
    (folder / "to").mkdir()
    for name in ("safetensors", "torch_export"):
        export.WRITERS[name](net, trained, folder / "to")


def inspection(folder: Path) -> None:
    net = mlp(0)
    measure(plain_module(net), torch.rand(5, *net.input_shape))


def critic(folder: Path) -> None:
    critic_values(nn.Linear(3, 1), np.zeros((5, 3), np.float32), torch.device("cpu"))


@pytest.mark.parametrize(
    "path", [train_evaluation, campaign, exports, inspection, critic], ids=lambda f: f.__name__
)
def test_every_path_that_compares(
    path: Callable[[Path], None], careless: list[Any], seen: list[list[Any]], tmp_path: Path
) -> None:
    path(tmp_path)
    assert seen
    assert all(found == CERTIFIED for found in seen)
    assert state() == careless
