"""Convolutional networks: constants, plain forms, configuration keys, sizes that do not fit."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.func import jacrev

from lipsort_cli.config.activations import MaxminActivation, MaxoutActivation
from lipsort_cli.config.constraints import AolConstraint, OrthonormalConstraint
from lipsort_cli.config.data import DigitsData
from lipsort_cli.config.learning import CosineSchedule, StiefelOptimizer, WorstClassHingeLoss
from lipsort_cli.config.models import CnnModel, ImageModel
from lipsort_cli.config.registry import GROUPS
from lipsort_cli.config.train import TrainConfig
from lipsort_cli.config.validate import faults, warnings
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import ConstrainedLayer, Convolution, Residual, lipschitz_constant
from lipsort_cli.training.radius import body_constant
from lipsort_cli.zoo import Network, build_network, network_graph

MAXMIN = MaxminActivation()
ORTHONORMAL = OrthonormalConstraint()
IMAGE_MODELS = {n: kind for n, kind in GROUPS["model"].items() if issubclass(kind, ImageModel)}


def model(name: str, **options: Any) -> ImageModel:
    small: dict[str, Any] = {"channels": [4, 8], "widths": [16]}
    made: ImageModel = IMAGE_MODELS[name](**{**small, **options})
    return made


def constraint(name: str) -> Any:
    return GROUPS["constraint"][name]()


def made(config: Any, shape: tuple[int, ...] = (1, 8, 8), set_name: str = "orthonormal") -> Network:
    torch.manual_seed(0)
    return build_network(config, MAXMIN, constraint(set_name), shape, 3)


@pytest.mark.parametrize("name", IMAGE_MODELS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 8), (1, 7, 9)])
def test_networks_are_1_lipschitz_and_have_a_plain_form(name: str, shape: tuple[int, ...]) -> None:
    network = made(model(name), shape).eval()
    assert lipschitz_constant(network, "l2") <= 1 + 1e-4
    x = torch.rand(6, *shape)
    y = x + 0.1 * torch.randn_like(x)
    moved = (network(x) - network(y)).norm(dim=1)
    assert bool((moved <= 1.0001 * (x - y).flatten(1).norm(dim=1)).all())
    graph, tensors = network_graph(network)
    assert graph["input_shape"] == list(shape)
    assert graph["layers"][-1]["op"] == "dense"
    weights = {
        entry["weight"] for entry in _entries(graph["layers"]) if entry.get("weight") is not None
    }
    biases = {entry["bias"] for entry in _entries(graph["layers"]) if entry.get("bias") is not None}
    assert weights | biases == set(tensors)


def _entries(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for entry in layers:
        found.append(entry)
        found += _entries(entry.get("layers", []))
        for branch in entry.get("branches", []):
            found += _entries(branch)
    return found


@pytest.mark.parametrize(
    ("set_name", "norm"),
    [*itertools.product(("orthonormal", "bjorck", "spectral", "aol"), ("l2",)), ("linf", "linf")],
)
@pytest.mark.parametrize("name", ["cnn", "lenet", "residual_cnn"])
def test_every_set_keeps_its_norm(name: str, set_name: str, norm: str) -> None:
    config = model(name, downsampling="max") if name != "lenet" else model(name)
    network = made(config, set_name=set_name).eval()
    assert lipschitz_constant(network, norm) <= 1 + 1e-4
    assert body_constant(network, norm) <= 1 + 1e-4


@pytest.mark.parametrize("set_name", ["parseval", "none"])
def test_other_sets_state_what_they_are(set_name: str) -> None:
    network = made(model("cnn"), set_name=set_name).eval()
    x = torch.rand(6, 1, 8, 8)
    y = x + 0.1 * torch.randn_like(x)
    moved = (network(x) - network(y)).norm(dim=1)
    stated = lipschitz_constant(network, "l2")
    assert bool((moved <= stated * (x - y).flatten(1).norm(dim=1)).all())


def test_circular_networks_keep_the_gradient() -> None:
    """Nothing is lost from image to features: all singular values of the Jacobian are 1."""
    config = CnnModel("cnn", channels=[4, 16], widths=[64], padding_mode="circular")
    network = made(config).double().eval()
    body = torch.nn.Sequential(*list(network)[:-1])
    x = torch.rand(1, 8, 8, dtype=torch.double)
    jacobian = jacrev(lambda image: body(image[None])[0])(x).flatten(1)
    values = torch.linalg.svdvals(jacobian.detach())
    assert torch.allclose(values, torch.ones_like(values), atol=1e-5)


CHANGES: list[tuple[str, str, Any]] = [
    *(("cnn", key, value) for key, value in (("channels", [8, 8]), ("widths", [8]))),
    ("cnn", "kernel", 5),
    ("cnn", "padding_mode", "circular"),
    *(("cnn", "convolution", way) for way in ("shift", "reshaped")),
    ("cnn", "bias", False),
    ("cnn", "dropout", 0.5),
    ("cnn", "lipschitz", 2.0),
    ("cnn", "blocks", 2),
    ("cnn", "patch", 4),
    *(("cnn", "downsampling", way) for way in ("strided", "max", "average", "l2")),
    ("residual_cnn", "branch", 0.25),
    *(("lenet", "pooling", way) for way in ("average", "l2")),
    ("lenet", "convolution", "orthogonal"),
    ("dcgan_critic", "kernel", 6),
]


@pytest.mark.parametrize(("name", "key", "value"), CHANGES, ids=str)
def test_every_key_changes_the_network(name: str, key: str, value: Any) -> None:
    before = model(name, blocks=2) if name == "residual_cnn" else model(name)
    x = torch.rand(4, 1, 8, 8)
    outputs = []
    for config in (before, replace(before, **{key: value})):
        network = made(config).train()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.dim() == 1:
                    parameter.fill_(0.1)  # biases start at 0
            outputs.append(network(x))
    assert not torch.allclose(outputs[0], outputs[1])


@pytest.mark.parametrize(
    ("patch", "shape", "features"),
    [(None, (1, 8, 12), 4), (None, (1, 7, 12), 1), (1, (1, 8, 8), 1), (3, (2, 6, 12), 18)],
)
def test_blocks_of_pixels_become_channels(
    patch: int | None, shape: tuple[int, ...], features: int
) -> None:
    network = made(model("cnn", patch=patch), shape)
    first = next(layer for layer in network if isinstance(layer, Convolution))
    assert first.geometry.in_channels == features


def test_blocks_that_do_not_divide_the_image_are_refused() -> None:
    with pytest.raises(UsageError, match=r"model.patch: found 5 and .* 8x12 pixels; .* such as 4"):
        made(model("cnn", patch=5), (1, 8, 12))


def test_residual_blocks_are_there() -> None:
    network = made(model("residual_cnn", blocks=2))
    blocks = [layer for layer in network if isinstance(layer, Residual)]
    assert len(blocks) == 4  # the first stage has as many channels as the folded image
    entry = next(e for e in network_graph(network)[0]["layers"] if e["op"] == "residual")
    assert [inner["op"] for inner in entry["layers"]] == ["convolution", "groupsort"] * 2
    assert float.fromhex(entry["skip"]) + float.fromhex(entry["branch"]) == pytest.approx(1)


def test_a_convolutional_weight_is_one_plain_kernel() -> None:
    network = made(model("cnn")).eval()
    graph, tensors = network_graph(network)
    first = next(entry for entry in graph["layers"] if entry["op"] == "convolution")
    layer = next(layer for layer in network if isinstance(layer, Convolution))
    x = torch.rand(2, 1, 8, 8)
    deep = torch.nn.functional.pixel_unshuffle(x, 2)
    plain = torch.nn.functional.conv2d(
        *(deep, tensors[first["weight"]], tensors[first["bias"]]),
        **{key: first[key] for key in ("stride", "padding", "dilation", "groups")},
    )
    assert torch.allclose(plain, layer(deep), atol=1e-6)


def test_groups_of_other_axes_have_no_plain_form() -> None:
    from lipsort_cli.layers import GroupSort, OrthogonalConvolution

    layers = [OrthogonalConvolution(1, 4, 3, padding=1), GroupSort(4, -1)]
    with pytest.raises(TypeError, match="axis 1"):
        network_graph(Network(layers, (1, 4, 4), 4))


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_points_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="takes images .*model=mlp"):
        made(model(name), (12,))


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_too_many_stages_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="model.channels: found 6 stages.*give fewer"):
        made(model(name, channels=[4] * 6), (1, 8, 8))


def configured(config: Any, activation: Any = MAXMIN) -> TrainConfig:
    return TrainConfig(
        data=DigitsData(),
        model=config,
        activation=activation,
        constraint=ORTHONORMAL,
        loss=WorstClassHingeLoss(),
        optimizer=StiefelOptimizer(),
        schedule=CosineSchedule(),
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (model("cnn", channels=[4, 9]), r"model.channels\[1\]: found 9.*maxmin.*8 or 10"),
        (model("cnn", channels=[]), r"model.channels: found \[\]"),
        (model("cnn", kernel=4), "model.kernel: found 4; model=cnn takes odd kernels: 3 or 5"),
        (model("dcgan_critic", kernel=3), "takes even kernels: 2 or 4"),
        (model("dcgan_critic", convolution="shift"), "allowed: orthogonal, reshaped"),
        (model("cnn", padding_mode="reflect"), "model.padding_mode: found 'reflect'"),
    ],
)
def test_faults_name_the_key(config: Any, message: str) -> None:
    import re

    found = faults(configured(config))
    assert any(re.search(message, fault) for fault in found), found


def test_maxout_has_no_residual_blocks() -> None:
    found = faults(configured(model("residual_cnn"), MaxoutActivation(group_size=2)))
    assert any("maxout with model=residual_cnn" in fault for fault in found)


def test_a_construction_without_effect_is_said() -> None:
    config = configured(model("cnn", convolution="reshaped"))
    assert not any("convolution" in warning for warning in warnings(config))
    config.constraint = AolConstraint()
    assert any("model.convolution=reshaped has no effect" in w for w in warnings(config))


def test_all_parameters_move() -> None:
    from lipsort_cli.optim import build_optimizer

    network = made(model("residual_cnn", blocks=2)).train()
    optimizer = build_optimizer(network, StiefelOptimizer())
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.rand(8, 1, 8, 8)).sin().sum().backward()
        optimizer.step()
    for old, new in zip(before, network.parameters(), strict=True):
        assert not torch.equal(old, new)
    layers = [layer for layer in network.modules() if isinstance(layer, ConstrainedLayer)]
    assert all(layer.lipschitz("l2") <= 1 + 1e-5 for layer in layers)
