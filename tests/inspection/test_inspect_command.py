"""`lipsort inspect`: what it writes, and sentences that follow the figures."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lipsort_cli.cli.launch import launch
from lipsort_cli.commands.inspect import _names
from lipsort_cli.config.schema import find
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.inspection import words
from lipsort_cli.inspection.activity import activities
from lipsort_cli.inspection.measure import Measured, alignment, measure, smoothness
from lipsort_cli.layers import AveragePool, MaxMin, Maxout, MaxPool, Scale
from lipsort_cli.trained import run_config
from lipsort_cli.zoo import build_mlp
from lipsort_cli.zoo.plain import OrderedDistance

SMALL = [
    "model.widths=[16,16]",
    "training.epochs=1",
    "evaluation.attack.points=0",
    "training.diagnostics_every=3",
    "threads=1",
]


def command(name: str, *overrides: str) -> None:
    found = find(name)
    assert found is not None
    launch(found, list(overrides))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained networks and a critic."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("maxmin", "relu"):
        command("train", *SMALL, f"activation={name}", f"hydra.run.dir={folder / name}")
    command(
        "estimate-wasserstein", "training.steps=5", "model.widths=[16]", "evaluation.points=40",
        "evaluation.confidence_points=50", "threads=1", f"hydra.run.dir={folder / 'critic'}",
    )  # fmt: skip
    return folder


def test_two_runs_are_compared_in_the_first(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    before = (runs / "maxmin/.hydra/config.yaml").read_text()
    command("inspect", "maxmin", "relu", "points=12", "pictures=3")
    found = json.loads((runs / "maxmin/inspect.json").read_text())
    assert found["points"] == 12
    for key in ("layers", "jacobian", "gradient_norm", "activations", "input_gradients"):
        assert found[key]["evidence"] == "empirical" and len(found[key]["interpretation"]) > 40
    constant = found["constant"]
    assert constant["evidence"] == "proven" and constant["route"] == "l2"
    assert constant["value"] == min(constant["routes"].values()) < 1.001
    assert "layers bounded in L2" in constant["interpretation"]
    assert [one["name"] for one in found["compared"]] == ["maxmin", "relu"]
    kept = [one["gradient_norm"]["kept"] for one in found["compared"]]
    assert kept[0] == pytest.approx(1, abs=1e-4) and kept[1] < 0.95
    assert "preserves" in found["gradient_norm"]["interpretation"]
    assert "preserves" not in found["compared"][1]["gradient_norm"]["interpretation"]
    assert found["over_training"]["steps"]["step"] == [0, 3, 6]
    assert {Path(name).name for name in found["figures"]} == {
        "layer_singular_values.png", "jacobian_singular_values.png", "gradient_norms.png",
        "activations.png", "input_gradients.png", "over_training.png",
    }  # fmt: skip
    for name in found["figures"]:
        assert (runs / "maxmin" / name).read_bytes().startswith(b"\x89PNG")
    assert (runs / "maxmin/.hydra/config.yaml").read_text() == before
    assert not (runs / "relu/inspect.json").exists()
    # Figures of the last logged step are those of the saved network, at other points.
    assert found["jacobian"]["sigma_mean"] == pytest.approx(
        found["over_training"]["steps"]["jacobian_sigma_mean"][-1], abs=1e-4
    )


def test_runs_as_a_list_and_a_critic(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(runs)
    out = tmp_path / "out"
    command("inspect", "runs=[critic,relu]", "points=5", "norm=linf", f"hydra.run.dir={out}")
    found = json.loads((out / "inspect.json").read_text())
    assert found["gradient_norm"]["norm"] == "l1" and found["over_training"] is None
    assert len(found["compared"]) == 2 and "input_gradients.png" not in str(found["figures"])
    assert found["jacobian"]["sigma_max"] == found["jacobian"]["sigma_min"]  # one output


def test_a_damaged_configuration_is_named(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "relu", tmp_path / "cut")
    path = tmp_path / "cut/.hydra/config.yaml"
    path.write_text(path.read_text()[:90] + "\n[cut")
    with pytest.raises(
        LipsortError, match=r"config\.yaml: not a YAML file, or a damaged one"
    ) as caught:
        run_config(tmp_path / "cut", "train")
    assert not isinstance(caught.value, UsageError)


def test_what_cannot_be_inspected_is_refused(runs: Path, tmp_path: Path) -> None:
    for arguments, part in (
        ([str(tmp_path)], "no run directory"),
        ([str(runs / "relu"), f"runs=[{runs / 'maxmin'}]"], "allowed: either"),
        (["runs=[]"], "runs: found"),
        ([f"runs=[{runs / 'relu'},absent]"], "absent: no such directory"),
        ([str(runs / "relu"), "points=0"], "points: found 0"),
    ):
        with pytest.raises(UsageError, match=part.replace("[", "\\[")):
            command("inspect", *arguments)


# --- pictures' figures in closed form ---------------------------------------------------------


def test_alignment_and_smoothness_of_known_pictures() -> None:
    flat = np.ones((1, 1, 6, 6), np.float32)
    chess = np.indices((6, 6)).sum(0)[None, None] % 2 * 2.0 - 1.0
    noise = np.random.default_rng(0).standard_normal((1, 1, 200, 200))
    assert smoothness(flat)[0] == pytest.approx(1)
    assert smoothness(chess.astype(np.float32))[0] == pytest.approx(-1)
    assert smoothness(noise.astype(np.float32))[0] == pytest.approx(0, abs=0.02)
    assert np.isnan(smoothness(0 * flat)[0]) and np.isnan(alignment(0 * flat, flat)[0])
    assert alignment(-3 * flat, 2 * flat)[0] == pytest.approx(1)
    assert alignment(flat, chess.astype(np.float32))[0] == pytest.approx(0, abs=1e-7)


# --- sentences follow the figures -------------------------------------------------------------


def looked_at(network: nn.Sequential) -> Measured:
    x = torch.randn(10, 12, generator=torch.Generator().manual_seed(1))
    return measure(network.requires_grad_(False), x, torch.arange(10) % 3)


def plain(*weights: torch.Tensor, activation: nn.Module | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.fill_(0.05)
        layers += [layer] if activation is None else [layer, activation]
    return nn.Sequential(*layers[:-1]) if activation is not None else nn.Sequential(*layers)


def orthonormal(rows: int, columns: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(columns, rows, generator=generator))
    return q.T


def test_sentences_change_with_the_network() -> None:
    a, b, c = orthonormal(12, 12, 1), orthonormal(12, 12, 2), orthonormal(3, 12, 3)
    squeezed = torch.diag(torch.linspace(0.01, 1, 12)) @ a
    networks = {
        "kept": plain(a, b, c, activation=MaxMin()),
        "relu": plain(a, b, c, activation=nn.ReLU()),
        "shrinks": plain(squeezed, b, c, activation=MaxMin()),
        "stretches": plain(4 * a, b, c, activation=MaxMin()),
    }
    found = {name: looked_at(network) for name, network in networks.items()}
    layers = {name: words.of_layers(one) for name, one in found.items()}
    assert "are orthonormal" in layers["kept"] and layers["kept"] == layers["relu"]
    assert (
        "are lost to the next" in layers["shrinks"] and "from 0.01 (layer 0)" in layers["shrinks"]
    )
    assert "is 4." in layers["stretches"]
    gradients = {name: words.of_gradient(one) for name, one in found.items()}
    assert "preserves" in gradients["kept"]
    assert "most is lost in the ReLU before depth" in gradients["relu"]
    assert "lost in the Linear before depth" in gradients["shrinks"]
    assert "400% arrives" in gradients["stretches"] and "amplify" in gradients["stretches"]
    jacobians = {name: words.of_jacobian(one) for name, one in found.items()}
    assert "kept alike" in jacobians["kept"] and "less than others" in jacobians["relu"]
    activity = {name: words.of_activations(one) for name, one in found.items()}
    assert "sorting loses no gradient" in activity["kept"]
    assert "off at every point" in activity["relu"]


def test_flat_networks_have_sentences_too() -> None:
    dead = looked_at(plain(torch.zeros(4, 12), torch.zeros(3, 4), activation=nn.ReLU()))
    assert "No gradient" in words.of_gradient(dead)
    assert "Jacobian is zero" in words.of_jacobian(dead)
    assert words.of_layers(dead) and words.of_activations(dead)
    torch.manual_seed(0)
    alone = looked_at(build_mlp((12,), 3, [], MaxMin))
    assert "No activation" in words.of_activations(alone)


@pytest.mark.parametrize(
    ("smooth", "part"),
    [
        ([0.6], "strokes rather than noise"),
        ([0.1], "closer to noise"),
        ([0.6, 0.1], "those of a are the smoothest, of b the least"),
        ([0.1, 0.6], "those of b are the smoothest, of a the least"),
        ([0.31, 0.32], "hardly a difference"),
    ],
)
def test_input_gradients_in_words(smooth: list[float], part: str) -> None:
    names = ["a", "b"][: len(smooth)]
    nothing = np.zeros(len(smooth))
    assert "nothing to see" in words.of_input_gradients(names, nothing, nothing)
    assert part in words.of_input_gradients(names, np.array(smooth), np.array(smooth))


def test_training_in_words() -> None:
    def log(*kept: float) -> list[dict[str, Any]]:
        return [
            {"step": s, "gradient_kept": k, "jacobian_sigma_mean": k} for s, k in enumerate(kept)
        ]

    assert "preserved all the way" in words.of_training(log(1, 1))
    assert "recovers" in words.of_training(log(0.5, 0.9))
    assert "loses" in words.of_training(log(0.9, 0.5))


def test_a_norm_kept_on_average_is_not_called_preserved() -> None:
    found = looked_at(
        plain(orthonormal(12, 12, 1), orthonormal(3, 12, 2), activation=MaxMin()),
    )
    assert "preserves" in words.of_gradient(found)
    uneven = found.norms.copy()
    uneven[:, 0] *= np.where(np.arange(len(uneven)) % 2, 0.5, 1.5)
    assert "preserves" not in words.of_gradient(dataclasses.replace(found, norms=uneven))


def test_groups_won_by_several_units_are_not_called_linear() -> None:
    (found,) = activities(nn.Sequential(Maxout(3)), torch.eye(3)[1:])
    assert found.share == 1 and found.linear == 0
    (found,) = activities(nn.Sequential(Maxout(3)), torch.eye(3)[[1, 1]])
    assert found.share == found.linear == 1


def test_only_units_that_are_off_lose_their_gradient() -> None:
    for activation, lost in ((nn.ReLU(), True), (nn.LeakyReLU(), False)):
        found = looked_at(plain(orthonormal(12, 12, 1), torch.ones(3, 12), activation=activation))
        assert ("gradient is lost" in words.of_activations(found)) is lost


def test_distance_layers_have_no_product() -> None:
    found = looked_at(nn.Sequential(OrderedDistance(torch.randn(3, 12), None, 0.5)))
    assert np.isnan(found.layer_product)
    assert "product" not in words.of_jacobian(found)
    mixed = nn.Sequential(OrderedDistance(torch.randn(6, 12), None, 0.5), nn.Linear(6, 3))
    assert "not linear" in words.of_layers(looked_at(mixed))


def test_branches_have_no_product() -> None:
    inner = nn.Sequential(nn.Linear(12, 12), nn.ReLU())
    found = looked_at(nn.Sequential(inner, nn.Linear(12, 3)))
    assert np.isnan(found.layer_product)
    assert "has branches" in words.of_layers(found)
    assert "product" not in words.of_jacobian(found)


def test_layers_known_in_part_are_not_called_orthonormal() -> None:
    """Of a large convolution the largest singular values are near 1 whatever the others are."""
    found = looked_at(plain(orthonormal(12, 12, 1), orthonormal(3, 12, 2), activation=MaxMin()))
    first = dataclasses.replace(found.layers[0], complete=False)
    partly = words.of_layers(dataclasses.replace(found, layers=[first, found.layers[1]]))
    assert "orthonormal" not in partly and "only the largest were computed" in partly


@pytest.mark.parametrize(
    ("pools", "constant"),
    [([MaxPool(2, 1)], 2.0), ([AveragePool(2), Scale(2.0)], 1.0), ([nn.Sigmoid()], 0.25)],
)
def test_the_product_counts_layers_without_weights(pools: list[nn.Module], constant: float) -> None:
    x = torch.rand(3, 1, 4, 4)
    size = nn.Sequential(*pools)(x).flatten(1).shape[1]
    head = plain(orthonormal(2, size, 1))
    found = measure(nn.Sequential(*pools, nn.Flatten(), *head).requires_grad_(False), x)
    assert found.layer_product == pytest.approx(constant, rel=1e-5)


def test_networks_that_differ_in_much_have_short_names(tmp_path: Path) -> None:
    own = {"seed": 0, "model": {"name": "mlp", "widths": [8] * 30}}
    folders = []
    for name, eps in (("plain", None), ("attacked", 1.5), ("again", 1.5)):
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True)
        config = own | {"training": {"adversarial": {"eps": eps}}, "note": name * 20}
        (folder / ".hydra/config.yaml").write_text(json.dumps(config))
        (folder / "run.json").write_text('{"command": "train", "status": "finished"}')
        (folder / "results.json").write_text('{"clean_accuracy": 0.9}')
        folders.append(folder)
    assert _names(folders[:2]) == ["eps null", "eps 1.5"]
    # Settings name all runs or none, and a number alone names no run of several folders.
    assert _names(folders) == ["plain", "attacked", "again"]
    jobs = [tmp_path / one for one in ("plain", "sweep/0", "other/sweep/0", "sweep/1")]
    for job in jobs[1:]:
        shutil.copytree(folders[1], job)
    assert _names(jobs) == [str(job.relative_to(tmp_path)) for job in jobs]
    assert _names([jobs[1], jobs[3]]) == ["0", "1"]
    assert _names([tmp_path / "sweep/0", tmp_path / "plain"]) == ["eps 1.5", "eps null"]
