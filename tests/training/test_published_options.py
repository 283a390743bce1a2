"""Options that the paper's own settings need: what they do, and that certificates hold for each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lipsort_cli.app import run
from lipsort_cli.certificates.points import lipschitz_bound, load_network
from lipsort_cli.config.models import MlpModel
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import Dense, Scale, SpectralConvolution
from lipsort_cli.reproduction.worker import perform
from lipsort_cli.training.jacobian import spectral_penalty
from lipsort_cli.zoo import build_mlp, mlp_options

SMALL = [
    "data=digits", "data.train_per_class=20", "model.widths=[16,16]", "training.epochs=2",
    "evaluation.attack.points=20", "evaluation.attack.steps=2", "threads=1", "device=cpu",
]  # fmt: skip
LINF = ["constraint=linf", "constraint.method=forward", "evaluation.norm=linf"]


@pytest.mark.parametrize(
    "options",
    [
        ["constraint=spectral", "optimizer=aggmo", "optimizer.lr=0.01"],
        ["constraint=spectral_ball", "optimizer=adam"],
        ["constraint=bjorck", "constraint.scaling=size", "optimizer=aggmo", "optimizer.lr=0.001"],
        [*LINF, "model.lipschitz=1000", "model.scaling=layers", "loss=multi_margin",
         "loss.margin=300", "optimizer=aggmo", "optimizer.lr=0.001"],
        ["constraint=mixed", "optimizer=adam", "optimizer.lr=0.01"],
        ["model.dropout=0.5", "model.input_dropout=0.2", "training.keep=best"],
        ["constraint=none", "optimizer=adam", "training.jacobian_penalty=0.05",
         "training.jacobian_norm=spectral"],
        ["model=lenet", "model.channels=[2,4]", "model.kernel=3", "constraint=bjorck",
         "constraint.scaling=size", "optimizer=adam"],
    ],
    ids=lambda options: " ".join(options)[:50],
)  # fmt: skip
def test_certificates_of_published_settings_are_verified(
    options: list[str], tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    perform("train", [*SMALL, *options], directory)
    assert run(["certify", f"run={directory}"]) == 0
    assert run(["verify", str(directory / "certificate.json")]) == 0


def test_mixed_norms_give_critics_of_constant_one(tmp_path: Path) -> None:
    """Row norms of the first layer, then L-infinity: no product of L2 norms would prove it."""
    perform(
        "estimate-wasserstein",
        ["constraint=mixed", "model.widths=[16,16]", "optimizer=adam", "training.steps=20",
         "training.check_every=10", "evaluation.points=50", "evaluation.confidence_points=50",
         "threads=1", "device=cpu"],
        tmp_path,
    )  # fmt: skip
    results = json.loads((tmp_path / "results.json").read_text())
    assert 0 < results["lipschitz_bound"] <= 1 + 1e-6
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(line["constant"] <= 1 + 1e-6 for line in lines if line["split"] == "check")
    assert run(["verify", str(tmp_path / "certificate.json")]) == 0


def test_convolutions_divide_always_too() -> None:
    for ball, norm in ((False, 1.0), (True, 0.5)):
        layer = SpectralConvolution(1, 4, 2, stride=2, ball=ball).eval()
        with torch.no_grad():
            layer.parameter.mul_(0.5)
        assert layer.lipschitz("l2") == pytest.approx(norm, rel=0.01)


def test_the_constant_is_shared_among_the_layers() -> None:
    model = MlpModel(widths=[8, 8], lipschitz=1000.0, scaling="layers")
    network = build_mlp([4], 3, [8, 8], **mlp_options(model))
    factors = [layer.factor for layer in network if isinstance(layer, Scale)]
    assert factors == pytest.approx([10.0] * 3)
    assert isinstance(network.head, Dense)


def test_spectral_penalty_is_the_spectral_norm() -> None:
    torch.manual_seed(0)
    weight = torch.randn(10, 30, requires_grad=True)
    inputs = torch.randn(5, 30).requires_grad_()
    penalty = spectral_penalty(inputs @ weight.mT, inputs, torch.Generator(), iterations=200)
    norm = torch.linalg.matrix_norm(weight, 2)
    assert float(penalty) == pytest.approx(float(norm), rel=1e-4)
    (found,) = torch.autograd.grad(penalty, weight)
    (wanted,) = torch.autograd.grad(norm, weight)
    assert torch.allclose(found, wanted, atol=1e-2)


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    """Steps that grow ever worse after the first epochs: the last weights are not the kept ones."""
    options = [*SMALL, "data.validation=0.3", "training.epochs=6", "constraint=none",
               "optimizer=sgd", "optimizer.lr=0.5", "schedule=constant"]  # fmt: skip
    shares = {}
    for keep in ("last", "best"):
        directory = tmp_path / keep
        directory.mkdir()
        perform("train", [*options, f"training.keep={keep}"], directory)
        lines = [json.loads(x) for x in (directory / "metrics.jsonl").read_text().splitlines()]
        shares[keep] = [x["accuracy"] for x in lines if x["split"] == "validation"]
    assert shares["last"] == shares["best"] and max(shares["last"]) > shares["last"][-1]
    first, second = (load_file(tmp_path / keep / "model.safetensors") for keep in shares)
    assert any(not torch.equal(first[key], second[key]) for key in first)


def test_keeping_the_best_needs_validation_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data.validation=0.1"):
        perform("train", [*SMALL, "training.keep=best", "data.validation=0"], tmp_path)


def test_a_run_starts_from_another(tmp_path: Path) -> None:
    """Fine-tuning of a loosely constrained run begins at the nearest orthonormal weights."""
    loose, tuned = tmp_path / "loose", tmp_path / "tuned"
    for directory in (loose, tuned):
        directory.mkdir()
    perform("train", [*SMALL, "constraint=parseval", "optimizer=adam"], loose)
    perform(
        "train",
        [*SMALL, f"start='{loose}'", "constraint=bjorck", "optimizer=adam", "optimizer.lr=1e-9"],
        tuned,
    )
    first, second = (load_file(one / "model.safetensors") for one in (loose, tuned))
    for key, value in first.items():
        assert torch.allclose(value, second[key], atol=0.05)
    assert lipschitz_bound(load_network(tuned / "model.safetensors"), "l2").value <= 1 + 1e-4


@pytest.mark.parametrize(
    ("constraint", "convolution"),
    [("orthonormal", "orthogonal"), ("orthonormal", "shift"), ("orthonormal", "reshaped"),
     *[(one, "orthogonal") for one in ("aol", "spectral", "bjorck", "parseval")]],
)  # fmt: skip
def test_convolutions_start_from_what_was_trained(
    tmp_path: Path, constraint: str, convolution: str
) -> None:
    """A kernel that is a product of matrices does not tell them: the run's checkpoint does."""
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    small = ["data.train_per_class=10", "training.epochs=1", "evaluation.attack.points=0",
             "model=cnn", "model.channels=[8]", "model.widths=[16]", f"constraint={constraint}",
             f"model.convolution={convolution}", "optimizer.lr=1e-7",
             "training.precision=float32"]  # fmt: skip
    stays = "optimizer.rest_lr=1e-9" if constraint == "orthonormal" else "optimizer=sgd"
    small.append(stays)
    for directory in (first, second, other):
        directory.mkdir()
    perform("train", [*small, "seed=1"], first)
    perform("train", [*small, f"start='{first}'"], second)
    given, own = (load_file(one / "model.safetensors") for one in (first, second))
    assert given.keys() == own.keys()
    for key, value in given.items():
        assert torch.allclose(value, own[key], atol=1e-4), key
    if constraint == "aol":  # has parameters of the same shapes
        looser = [word.replace("constraint=aol", "constraint=spectral") for word in small]
        with pytest.raises(UsageError, match="start: weight 1 .*give both the same constraint"):
            perform("train", [*looser, f"start='{first}'"], other)
    if constraint == "orthonormal" and convolution != "reshaped":
        (first / "checkpoint" / "state.pt").unlink()
        with pytest.raises(UsageError, match="start: weight 1 .*checkpoint holds no "):
            perform("train", [*small, f"start='{first}'"], other)


def test_other_layers_are_no_start(tmp_path: Path) -> None:
    perform("train", SMALL, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(UsageError, match="start: weight 2"):
        perform("train", [*SMALL, "model.widths=[16]", f"start='{tmp_path}'"], other)


def test_every_activation_has_one_network_where_it_is_asked_for(tmp_path: Path) -> None:
    found = {}
    for center in ("true", "false", "null"):
        for activation in ("fullsort", "maxmin"):
            directory = tmp_path / f"{center}-{activation}"
            directory.mkdir()
            perform(
                "estimate-wasserstein",
                ["distribution=translated_cloud", f"activation={activation}", "threads=1",
                 f"training.center={center}", "training.steps=1", "model.widths=[8]", "device=cpu",
                 "evaluation.points=10", "evaluation.confidence_points=10",
                 "training.check_points=10", "evaluation.certificate=false"],
                directory,
            )  # fmt: skip
            network = load_network(directory / "model.safetensors")
            found[center, activation] = any(
                any(layer.numbers[: len(layer.numbers) // 2])
                for layer in network.layers
                if layer.op == "normalize"
            )
    assert found["true", "fullsort"] and found["true", "maxmin"] and found["null", "maxmin"]
    assert not (found["false", "fullsort"] or found["false", "maxmin"] or found["null", "fullsort"])
