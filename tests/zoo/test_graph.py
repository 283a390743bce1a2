"""The plain form: same outputs as the network, every layer named, saved as promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from lipsort_cli.certificates.points import evaluate, load_network
from lipsort_cli.config.activations import FullsortActivation, MaxminActivation
from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.constraints import OrthonormalConstraint
from lipsort_cli.config.models import MlpModel
from lipsort_cli.config.registry import GROUPS
from lipsort_cli.layers import MaxMin, Scale
from lipsort_cli.zoo import build_network, network_graph, save_network
from lipsort_cli.zoo.mlp import build_mlp

MODELS = [
    MlpModel(widths=[8, 12]),
    MlpModel(widths=[8], dropout=0.5, lipschitz=3.0, bias=False),
    MlpModel(widths=[]),
]


def options(group: str) -> list[Any]:
    """One configuration of every option of a group that makes a network by itself."""
    return [GROUPS[group][name]() for name in group_options(group, "train")]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: "x".join(map(str, m.widths)) or "linear")
@pytest.mark.parametrize("activation", options("activation"), ids=lambda c: c.name)
@pytest.mark.parametrize("constraint", options("constraint"), ids=lambda c: c.name)
def test_plain_form_computes_the_same(
    tmp_path: Path, model: Any, activation: Any, constraint: Any
) -> None:
    torch.manual_seed(0)
    network = build_network(model, activation, constraint, (2, 3), 4).eval()
    save_network(network, tmp_path / "model.safetensors")
    plain = load_network(tmp_path / "model.safetensors")
    x = torch.randn(5, 2, 3)
    found = evaluate(plain, x.numpy(), "real").logits
    with torch.no_grad():
        expected = network.double()(x.double()).numpy()
    assert np.allclose(found, expected, atol=1e-5)


def test_file_layout(tmp_path: Path) -> None:
    network = build_network(
        MlpModel(widths=[8], dropout=0.1),
        FullsortActivation(),
        OrthonormalConstraint(),
        (1, 2, 2),
        3,
    )
    save_network(network, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        graph = json.loads(file.metadata()["lipsort_graph"])
        assert set(file.keys()) == {
            f"layers.{i}.{kind}" for i in (1, 3) for kind in ("weight", "bias")
        }
    assert graph["input_shape"] == [1, 2, 2]
    assert graph["classes"] == 3
    operations = [layer["op"] for layer in graph["layers"]]
    assert operations == ["flatten", "dense", "groupsort", "dense"]  # no dropout
    assert graph["layers"][2]["group_size"] == 8


def test_a_layer_without_plain_form_is_refused() -> None:
    from lipsort_cli.zoo import Network

    with pytest.raises(TypeError, match="BatchNorm1d"):
        network_graph(Network([torch.nn.BatchNorm1d(3)], (3,), 3))


def test_training_mode_is_left_as_it_was() -> None:
    network = build_network(
        MlpModel(widths=[4]),
        MaxminActivation(),
        OrthonormalConstraint(),
        (4,),
        2,
    ).train()
    network_graph(network)
    assert network.training


def test_a_centered_network_is_the_same_network_of_inputs_without_their_mean() -> None:
    inputs = torch.rand(50, 2, 4, 3) + torch.tensor([5.0, -1.0])[:, None, None]
    network = build_mlp((2, 4, 3), 5, [8])
    centered = network.centered(inputs)
    shifted = inputs - inputs.mean((0, 2, 3), keepdim=True)
    torch.testing.assert_close(centered(inputs), network(shifted))
    operations = network_graph(centered)[0]["layers"]
    assert operations[0]["op"] == "normalize"
    assert [float.fromhex(x) for x in operations[0]["std"]] == [1.0, 1.0]
    assert centered.head is network.head


def test_layers_in_a_row_are_taken_one_by_one(tmp_path: Path) -> None:
    network = build_mlp(
        (6,), 3, [8], lambda: nn.Sequential(MaxMin(), nn.Sequential(nn.LeakyReLU(0), Scale(0.5)))
    ).eval()
    save_network(network, tmp_path / "model.safetensors")
    saved = load_network(tmp_path / "model.safetensors")
    names = [layer.op for layer in saved.layers]
    assert names == ["flatten", "dense", "groupsort", "leaky_relu", "scale", "dense"]
    x = torch.randn(20, 6)
    found = evaluate(saved, x.numpy(), "real", norm="l2").logits
    np.testing.assert_allclose(found, network(x).detach().numpy(), rtol=1e-5, atol=1e-6)
