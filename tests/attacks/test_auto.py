"""AutoAttack on networks of known constant: between certified and clean, whatever the margins."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lipsort_cli import app
from lipsort_cli.attacks import auto
from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.distance import FixedLinfModel
from lipsort_cli.config.registry import option_of
from lipsort_cli.norms import lengths

pytest.importorskip("pyautoattack")

MODELS = group_options("model", "train")
"""Every network of the zoo that classifies."""


def _classifier(classes: int, inputs: int, factor: float) -> Any:
    generator = torch.Generator().manual_seed(classes)
    first = torch.linalg.qr(torch.randn(inputs, inputs, generator=generator))[0]
    second = torch.randn(classes, inputs, generator=generator)

    def network(x: Tensor) -> Tensor:
        hidden = x.flatten(1) @ first.T.to(x.dtype)
        return factor * (hidden.sort(1).values @ second.T.to(x.dtype))

    return network


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "_attacks", lambda classes, image: ["apgd-ce"])


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-3.0, 5.0), None])
def test_perturbed_inputs_stay_in_the_ball_and_the_box(
    norm: str, bounds: tuple[float, float] | None, quick: None
) -> None:
    low, high = bounds or (-10.0, 10.0)
    torch.manual_seed(0)
    x = low + (high - low) * torch.rand(20, 12, dtype=torch.float64)
    network = _classifier(4, 12, 1.0)
    y = network(x).argmax(1)
    y[0] = (y[0] + 1) % 4  # wrong already: it stays where it is
    eps = {"l2": 1.0, "linf": 0.4, "l1": 3.0}[norm] * (high - low)
    state = torch.random.get_rng_state()
    found, _ = auto.autoattack(network, x, y, eps, norm=norm, bounds=bounds, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found.dtype == x.dtype and torch.equal(found[0], x[0])
    assert bool((lengths(found - x, norm) <= eps).all())
    if bounds is not None:
        assert bool(((found >= low) & (found <= high)).all())
    fooled = network(found).argmax(1) != y
    assert fooled.sum() > 5
    # What is not fooled was not moved: nobody may take it for an attack.
    assert torch.equal(found[~fooled], x[~fooled])


@pytest.mark.parametrize("factor", [1e-6, 1e-2, 30.0, 1e4])
def test_the_scale_of_the_logits_decides_nothing(factor: float, quick: None) -> None:
    """Unscaled, the cross-entropy of the last two has no gradient left in float32."""
    torch.manual_seed(0)
    x = torch.rand(40, 12)
    y = _classifier(5, 12, 1.0)(x).argmax(1)

    def left(factor: float) -> int:
        network = _classifier(5, 12, factor)
        found, _ = auto.autoattack(network, x, y, 0.3, norm="l2", bounds=(0.0, 1.0), seed=0)
        return int((network(found).argmax(1) == y).sum())

    assert abs(left(factor) - left(1.0)) <= 1
    assert left(1.0) < 35


def test_attacks_are_those_that_are_defined() -> None:
    assert auto._attacks(10, (1, 8, 8)) == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert auto._attacks(3, (1, 1, 12)) == ["apgd-ce", "apgd-dlr", "fab-t"]
    assert auto._attacks(2, (3, 8, 8)) == ["apgd-ce", "fab-t", "square"]


def test_vanishing_gradients_are_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "_attacks", lambda classes, image: ["apgd-t"])
    x = torch.rand(8, 6)

    def network(x: Tensor) -> Tensor:
        return torch.tensor([3.0, 2.0, 1.0, 0.0]).expand(len(x), 4) + 0 * x.sum()

    _, said = auto.autoattack(
        network, x, torch.zeros(8, dtype=torch.long), 0.1, norm="l2", bounds=None, seed=0
    )
    assert any("zero gradient" in words for words in said)


def test_masked_gradients_hide_nothing_and_are_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs that are rounded first have no gradient: only the attack without any finds points."""
    monkeypatch.setattr(auto, "_attacks", lambda classes, image: ["apgd-ce", "square"])
    torch.manual_seed(0)
    x, weight = torch.rand(12, 1, 6, 6), torch.randn(5, 36)

    def linear(x: Tensor) -> Tensor:
        return (x - 0.5).flatten(1) @ weight.T

    def masked(x: Tensor) -> Tensor:
        return linear((16 * x).round() / 16)

    y = masked(x).argmax(1)
    found, said = auto.autoattack(masked, x, y, 0.2, norm="linf", bounds=(0.0, 1.0), seed=0)
    assert (masked(found).argmax(1) != y).sum() >= 6
    assert any("Square Attack has decreased the robust accuracy" in words for words in said), said
    # The same network with its gradients is broken by them, and nothing is remarked.
    y = linear(x).argmax(1)
    found, said = auto.autoattack(linear, x, y, 0.2, norm="linf", bounds=(0.0, 1.0), seed=0)
    assert (linear(found).argmax(1) != y).sum() >= 6 and not said


def test_points_that_fall_already_are_left_alone(quick: None, monkeypatch: Any) -> None:
    from lipsort_cli.attacks import campaign as module

    counts: list[int] = []
    real = module.autoattack

    def counted(network: Any, inputs: Tensor, *rest: Any, **options: Any) -> Any:
        counts.append(len(inputs))
        return real(network, inputs, *rest, **options)

    monkeypatch.setattr(module, "autoattack", counted)
    campaign = Campaign.__new__(Campaign)
    network = _classifier(4, 6, 1.0)
    for name, value in {
        "module": network, "norm": "l2", "bounds": (0.0, 1.0), "seed": 0, "remarks": [],
    }.items():  # fmt: skip
        setattr(campaign, name, value)
    campaign.fooled = lambda x, y: network(x).argmax(1) != y  # type: ignore[method-assign]
    from lipsort_cli.attacks.search import Findings

    x = torch.rand(10, 6)
    findings = Findings.start(x, network(x).argmax(1), "l2")
    findings.nearest[:4] = [0.0, 0.05, 0.2, 5.0]
    campaign._autoattack(findings, [0.1, 0.3])
    assert counts[0] == 8 and counts[1] <= 7
    assert (findings.nearest[:3] == [0.0, 0.05, 0.2]).all()


def _sandwich(folder: Path, model: str, norm: str, points: int, *words: str) -> None:
    """Train, attack with AutoAttack alone, and look that it lies between certified and clean."""
    eps = {"l2": "[0.3,1.0]", "linf": "[0.05,0.1]"}[norm]
    run = folder / "run"
    app.run([
        "train", f"model={model}", f"hydra.run.dir={run}", f"evaluation.norm={norm}",
        f"evaluation.eps={eps}", "evaluation.attack.points=0", *words,
    ])  # fmt: skip
    app.run(["attack", str(run), f"points={points}", "methods=[autoattack]"])
    found = json.loads((run / "attack.json").read_text())
    with (run / "attack.csv").open() as file:
        rows = list(csv.DictReader(file))
    clean = np.mean([row["label"] == row["prediction"] for row in rows])
    certified, attacked = found["certified_accuracy"]["eps"], found["attacked_accuracy"]["eps"]
    assert found["soundness_failures"] == 0 and len(rows) == points
    for key in certified:
        assert certified[key] <= attacked[key] <= clean, key
    if clean > 0.5:  # networks of distances and orders learn little in so few epochs
        assert attacked[max(attacked, key=float)] < clean, "an attack that finds nothing is none"


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_autoattack_lies_between_certified_and_clean(
    norm: str, tmp_path: Path, quick: None
) -> None:
    _sandwich(tmp_path, "mlp", norm, 40, "training.epochs=4", "model.widths=[32,32]")


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_autoattack_lies_between_certified_and_clean_on_every_network(
    model: str, tmp_path: Path
) -> None:
    fixed = issubclass(option_of("model", model) or object, FixedLinfModel)
    _sandwich(tmp_path, model, "linf" if fixed else "l2", 200, "training.epochs=10")
