"""The margin bound: its formula again, what it must never do, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lipsort_cli.app import run as lipsort
from lipsort_cli.certificates.points import load_network
from lipsort_cli.commands.generalisation import _bounded
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import Dense, MaxMin
from lipsort_cli.layers.constraints import Unconstrained
from lipsort_cli.reproduction.worker import perform
from lipsort_cli.theory.generalisation import _GRID, _norms, _up, margin_bound
from lipsort_cli.zoo import Network, save_network
from lipsort_cli.zoo.mlp import build_mlp


def plain(network: Network, folder: Path):  # type: ignore[no-untyped-def]
    save_network(network.eval(), folder / "model.safetensors")
    return load_network(folder / "model.safetensors")


def separable(n: int, dim: int = 6, scale: float = 1.0):  # type: ignore[no-untyped-def]
    """Two far classes on one axis."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    x = 0.01 * rng.standard_normal((n, dim))
    x[:, 0] += np.where(labels == 0, 1, -1)
    return (scale * x).astype(np.float32), labels


def linear(factor: float = 1.0) -> Network:
    layer = Dense(6, 2, bias=False, constraint=Unconstrained())
    with torch.no_grad():
        layer.parameter.zero_()
        layer.parameter[0, 0], layer.parameter[1, 0] = factor, -factor
    return Network([nn.Flatten(), layer], (6,), 2)


def test_formula_of_a_linear_network(tmp_path: Path) -> None:
    n, delta = 10_000_000, 0.05
    network = plain(linear(), tmp_path)
    x, y = separable(1000)
    found = margin_bound(network, x, y, delta)
    # The same by hand: one layer, spectral norm sqrt(2), two rows of length 1, W = 6.
    size = float(np.linalg.norm(x.astype(np.float64)))
    s, b = math.sqrt(2), 2.0
    root = math.sqrt(4 * math.log(2 * 36)) * size * s * (b / s) / found.margin
    assert found.complexity >= 2 * min(1.0, 12 * root / 1000) * 0.999
    assert found.value == pytest.approx(found.empirical + found.complexity + found.sampling)
    assert found.sampling >= 3 * math.sqrt(math.log(2 / delta) / 2000)
    assert found.normalised == pytest.approx(size * b / (1000 * 2.0), rel=0.15)
    assert found.vacuous and "confidence 0.95" in found.entry()["evidence"]
    assert n  # see the next test for a bound that says something


def test_says_something_of_many_examples_far_from_the_border(tmp_path: Path) -> None:
    network = plain(linear(), tmp_path)
    bounds = []
    for n in (20_000, 500_000):
        x, y = separable(n)
        bounds.append(margin_bound(network, x, y).value)
    assert bounds[1] < bounds[0]
    assert bounds[1] < 1, "half a million examples at distance 1 are enough"


def test_a_network_with_other_units_has_the_same_bound(tmp_path: Path) -> None:
    # Margin and spectral norm grow together: nothing is gained by scaling logits.
    x, y = separable(500_000)
    values = [margin_bound(plain(linear(f), tmp_path), x, y).value for f in (1.0, 64.0)]
    assert values[0] == pytest.approx(values[1], rel=0.05)


def test_wrong_labels_are_counted(tmp_path: Path) -> None:
    network = plain(linear(), tmp_path)
    x, y = separable(2000)
    right, wrong = margin_bound(network, x, y), margin_bound(network, x, 1 - y)
    assert wrong.value >= 1 and wrong.normalised is None
    assert right.normalised is not None
    assert math.isfinite(wrong.value) and wrong.vacuous


def test_norms_are_those_of_the_operators(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_mlp((6,), 3, [8], bias=False)
    x, _ = separable(50)
    size, rows, spectral, factor = _norms(plain(network, tmp_path), x)
    assert size >= np.linalg.norm(x.astype(np.float64))
    weights = [layer.weight.detach().double() for layer in network if isinstance(layer, Dense)]
    for row_sum, norm, weight in zip(rows, spectral, weights, strict=True):
        assert row_sum >= float(weight.norm(dim=1).sum())
        assert row_sum == pytest.approx(float(weight.norm(dim=1).sum()), rel=1e-6)
        assert norm >= float(torch.linalg.matrix_norm(weight, 2))
    assert factor == 1.0


@pytest.mark.parametrize("octave", sorted(set(_GRID.values())))
@pytest.mark.parametrize("value", [1e-9, 0.5, 1.0, 1.0000001, 3.7, 1e6])
def test_grid_rounds_up_by_little(value: float, octave: int) -> None:
    grid, cost = _up(value, octave)
    assert value <= grid <= value * 2 ** (1 / octave) * (1 + 1e-12)
    assert cost >= math.log(4)


def test_shares_of_the_confidence_sum_to_less_than_one() -> None:
    total = sum(1 / (2 * (abs(k) + 1) * (abs(k) + 2)) for k in range(-100_000, 100_001))
    assert total < 1


def test_biases_and_unknown_operations_are_refused(tmp_path: Path) -> None:
    x, y = separable(20)
    network = build_mlp((6,), 2, [8])
    with torch.no_grad():
        next(m for m in network if isinstance(m, Dense)).bias.fill_(0.1)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=r"found a bias.*allowed: none.*model\.bias=false"):
        margin_bound(plain(network, tmp_path), x, y)
    shifted = Network([nn.Flatten(), Dense(6, 4, False), nn.Sigmoid(), Dense(4, 2, False)], (6,), 2)
    with pytest.raises(UsageError, match=r"found sigmoid.*not cover; allowed: dense"):
        margin_bound(plain(shifted, tmp_path), x, y)
    assert MaxMin  # a sort is covered: see the norms above


def test_ties_are_errors_in_training_as_on_the_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(linear(0.0), tmp_path)
    x, y = map(torch.from_numpy, separable(20))
    (tmp_path / "results.json").write_text('{"clean_accuracy": 0.0}')
    run = SimpleNamespace(network=tmp_path / "model.safetensors", config=SimpleNamespace(data=None))
    monkeypatch.setattr("lipsort_cli.trained.open_run", lambda *_: run)
    data = SimpleNamespace(train=SimpleNamespace(inputs=x, labels=y))
    monkeypatch.setattr("lipsort_cli.data.load", lambda _: data)
    assert _bounded(tmp_path, 0.05)["gap"] == 0


def test_command_on_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    perform(
        "train",
        ["model.widths=[16]", "model.bias=false", "training.epochs=1", "threads=1",
         "evaluation.attack.points=0", "evaluation.arithmetic=real"],
        run,
    )  # fmt: skip
    assert lipsort(["generalisation", str(run), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "generalisation.json").read_text())
    results = json.loads((run / "results.json").read_text())
    assert found["test_accuracy"] == pytest.approx(results["clean_accuracy"], abs=0.005)
    assert found["gap"] == pytest.approx(found["train_accuracy"] - found["test_accuracy"])
    assert "says nothing" in capsys.readouterr().out
    perform("train", ["model.widths=[16]", "training.epochs=1", "threads=1",
                      "evaluation.attack.points=0"], tmp_path / "biased")  # fmt: skip
    with pytest.raises(UsageError, match="found a bias"):
        lipsort(["generalisation", str(tmp_path / "biased"), "--out", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists(), "what is refused leaves nothing behind"
    with pytest.raises(UsageError, match="--delta: found 2"):
        lipsort(["generalisation", str(run), "--delta", "2"])
