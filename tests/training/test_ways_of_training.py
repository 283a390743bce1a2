"""Adversarial training, the Jacobian penalty, loose Bjorck, and parts of a data set."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipsort_cli.commands.train import build_task
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.data import DigitsData
from lipsort_cli.config.train import Adversarial
from lipsort_cli.config.tune import LOGGED
from lipsort_cli.config.typed import to_typed
from lipsort_cli.data import load
from lipsort_cli.errors import Interrupted, UsageError
from lipsort_cli.layers import Dense
from lipsort_cli.layers.constraints import Bjorck, orthonormality_error
from lipsort_cli.metrics import last_figures
from lipsort_cli.training import engine
from lipsort_cli.training.adversarial import build_adversary
from lipsort_cli.training.classifier import ClassifierTask
from lipsort_cli.training.jacobian import jacobian_penalty
from lipsort_cli.training.losses import cross_entropy
from lipsort_cli.zoo import Network

SMALL = ["model.widths=[16,16]", "training.epochs=2", "threads=1", "device=cpu"]


def train(folder: Path, *overrides: str) -> Network:
    """Train without evaluating."""
    folder.mkdir(exist_ok=True)
    with Composer("train") as composer:
        config = to_typed(composer.compose([*SMALL, *overrides]), "train")
    task = build_task(config, load(config.data), torch.device("cpu"))
    engine.run(task, engine.Session(folder, "train"))
    return task.network


def weights_of(network: Network) -> bytes:
    return b"".join(value.detach().numpy().tobytes() for value in network.parameters())


FILTERS = ["model=order_statistics", "loss=cross_entropy", "model.filters=4"]


def test_what_trainings_are_said_to_log_is_what_they_log(tmp_path: Path) -> None:
    found: set[str] = set()
    for number, words in enumerate((["training.diagnostics_every=1"], FILTERS[:2])):
        train(tmp_path / str(number), *words)
        found |= set(last_figures(tmp_path / str(number) / "metrics.jsonl"))
    names = {f"{split}.{name}" for split, some in LOGGED["train"].items() for name in some}
    assert {re.sub(r"\.\d+$", ".*", name) for name in found} == names


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.adversarial.eps=0.1"],
        ["training.adversarial.eps=0.3", "training.adversarial.norm=l2"],
        ["training.adversarial.eps=0.1", "training.adversarial.steps=1"],
        ["training.jacobian_penalty=0.1"],
        ["constraint=bjorck"],
        ["constraint=bjorck", "constraint.loose_iterations=1"],
        ["constraint=bjorck", "constraint.loose_iterations=1", "constraint.loose_share=0.1"],
        ["model=order_statistics", "loss=cross_entropy"],
        ["model=order_statistics", "loss=cross_entropy", "model.radius=0.2"],
        ["model=order_statistics", "loss=cross_entropy", "model.ramp=0.9"],
        ["model=order_statistics", "loss=cross_entropy", "model.slope=2"],
        ["model=order_statistics", "loss=cross_entropy", "model.spread=0.5"],
        ["model=order_statistics", "loss=cross_entropy", "model.middle=0.3"],
        ["model=order_statistics", "loss=cross_entropy", "model.slack=0.1"],
        [*FILTERS, "model.side=4", "model.stride=2"],
        [*FILTERS, "model.side=4", "model.stride=4"],
        [*FILTERS, "model.side=2", "model.stride=2"],
        ["optimizer.rank=4"],
        ["optimizer.rank=8"],
        ["data.train_per_class=20"],
        ["data.train_per_class=20", "data.subset_seed=1"],
    ],
    ids=" ".join,
)
def test_every_key_changes_the_weights_and_repeats_them(
    tmp_path: Path, overrides: list[str]
) -> None:
    seen: dict[bytes, list[str]] = test_every_key_changes_the_weights_and_repeats_them.seen  # type: ignore[attr-defined]
    weights = weights_of(train(tmp_path / "run", *overrides))
    assert weights not in seen, f"the same weights as {seen[weights]}"
    seen[weights] = overrides
    if overrides[0].startswith("training"):
        assert weights_of(train(tmp_path / "again", *overrides)) == weights


test_every_key_changes_the_weights_and_repeats_them.seen = {}  # type: ignore[attr-defined]


@given(
    norm=st.sampled_from(["l2", "linf"]),
    eps=st.floats(0.01, 2.0),
    steps=st.integers(1, 4),
    seed=st.integers(0, 2**62),
)
def test_the_adversary_stays_in_its_ball_and_in_the_range(
    norm: str, eps: float, steps: int, seed: int
) -> None:
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    inputs, labels = torch.rand(5, 3, 2, 2), torch.tensor([0, 1, 2, 0, 1])
    loss = partial(cross_entropy, temperature=1.0, margin=0.0)
    adversary = build_adversary(Adversarial(eps, norm, steps), network, loss, (0.0, 1.0))
    assert adversary is not None
    moved = adversary(inputs, labels, seed)
    delta = (moved - inputs).flatten(1)
    length = delta.norm(dim=1) if norm == "l2" else delta.abs().amax(1)
    assert float(length.max()) <= eps * (1 + 1e-5)
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1
    assert torch.equal(moved, adversary(inputs, labels, seed))
    assert not torch.equal(moved, inputs)


def test_the_adversary_raises_the_loss() -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(6, 3)
    inputs, labels = torch.randn(50, 6), torch.randint(3, (50,))
    loss = partial(cross_entropy, temperature=1.0, margin=0.0)
    before = loss(network(inputs), labels).item()
    for norm in ("l2", "linf"):
        adversary = build_adversary(Adversarial(0.2, norm, 5), network, loss, None)
        assert adversary is not None
        assert loss(network(adversary(inputs, labels, 0)), labels).item() > before + 0.01
    assert build_adversary(Adversarial(), network, loss, None) is None


def test_the_penalty_estimates_the_squared_frobenius_norm() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    inputs = torch.randn(1, 5).requires_grad_()
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x[None])[0], inputs[0])
    generator = torch.Generator().manual_seed(0)
    many = inputs.expand(20_000, 5)
    # Every row is an example of its own with a direction of its own.
    leaf = many.detach().clone().requires_grad_()
    value = jacobian_penalty(network(leaf), leaf, generator)
    assert value.item() == pytest.approx(float(jacobian.square().sum()), rel=0.03)
    value.backward()
    assert network[0].weight.grad is not None


def test_the_penalty_makes_the_jacobian_smaller(tmp_path: Path) -> None:
    overrides = ["constraint=none", "activation=tanh", "loss=cross_entropy", "optimizer=adam",
                 "optimizer.lr=0.01", "training.epochs=8"]  # fmt: skip
    inputs = load(DigitsData()).test.inputs.requires_grad_()
    sizes = []
    for weight in (0.0, 0.05):
        given = [*overrides, f"training.jacobian_penalty={weight}"]
        logits = train(tmp_path / str(weight), *given)(inputs)
        sizes.append(jacobian_penalty(logits, inputs, torch.Generator().manual_seed(0)).item())
    assert sizes[1] < 0.5 * sizes[0]


def test_loose_bjorck_fine_tunes_at_the_end() -> None:
    torch.manual_seed(0)
    constraint = Bjorck(order=1, iterations=30, loose_iterations=1, loose_share=0.5)
    layer = Dense(8, 8, constraint=constraint).train()
    with torch.no_grad():
        layer.parameter.copy_(torch.randn(8, 8))
    assert constraint.current_iterations == 30, "outside a loop nothing is loose"
    errors = {}
    for progress in (0.0, 0.49, 0.5, 1.0):
        constraint.progress = progress
        errors[progress] = orthonormality_error(layer.weight.detach())
    assert errors[0.0] == errors[0.49] > 0.1
    assert errors[0.5] == errors[1.0] < errors[0.0]


def test_parts_are_balanced_nested_and_leave_the_test_set_whole() -> None:
    whole = load(DigitsData())
    small, large, other = (
        load(DigitsData(train_per_class=n, subset_seed=seed))
        for n, seed in ((5, 3), (20, 3), (5, 4))
    )
    assert torch.equal(torch.bincount(small.train.labels), torch.full((10,), 5))
    rows = [{tuple(x) for x in d.train.inputs.flatten(1).tolist()} for d in (small, large, other)]
    assert rows[0] < rows[1] and rows[0] != rows[2]
    for part in (small, large, other):
        assert torch.equal(part.test.inputs, whole.test.inputs)
        assert torch.equal(part.validation.inputs, whole.validation.inputs)
        assert part.fingerprint["sha256"] != whole.fingerprint["sha256"]
    with pytest.raises(UsageError, match=r"train_per_class: found 10000.* at most 1\d\d$"):
        load(DigitsData(train_per_class=10_000))


@pytest.mark.parametrize(
    "overrides",
    [
        # Running means of balances and the radius reached are part of what resuming needs,
        ["model=order_statistics", "loss=cross_entropy", "model.spread=0.5"],
        # and so is the subspace that the last step found.
        ["optimizer.rank=4", "optimizer.interval=2"],
    ],
    ids=" ".join,
)
def test_an_interrupted_run_with_a_state_of_its_own_goes_on_to_the_same_weights(
    tmp_path: Path, interrupting: Any, overrides: list[str]
) -> None:
    whole = train(tmp_path / "whole", *overrides)
    interrupting(ClassifierTask, 3, 8)
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(tmp_path / "run", *overrides)
    resumed = train(tmp_path / "run", *overrides).state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.center=true"],
        ["training.jacobian_penalty=0.1"],
        ["training.adversarial.eps=0.1"],
    ],
    ids=" ".join,
)
def test_what_worst_case_training_has_no_use_for_is_refused(overrides: list[str]) -> None:
    with (
        Composer("train") as composer,
        pytest.raises(UsageError, match=f"{overrides[0].split('=')[0]}: found"),
    ):
        to_typed(composer.compose(["model=order_statistics", *overrides]), "train")


def test_windows_without_filters_are_refused() -> None:
    command = ["model=order_statistics", "loss=cross_entropy", "model.stride=2"]
    with Composer("train") as composer, pytest.raises(UsageError, match=r"model.stride: found 2"):
        to_typed(composer.compose(command), "train")


def test_a_maximum_that_would_grow_softer_is_refused() -> None:
    command = ["model=linf_distance", "model.sharpness=50", "model.last_sharpness=40"]
    with Composer("train") as composer, pytest.raises(UsageError, match="model.last_sharpness"):
        to_typed(composer.compose(command), "train")
