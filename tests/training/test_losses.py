"""Losses: closed forms, and that each of their options changes them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from lipsort_cli.config import schema
from lipsort_cli.layers.margins import worst_margin
from lipsort_cli.training.losses import LOSSES, build_loss

LOGITS = torch.tensor([[3.0, 1.0, 0.5], [0.0, 0.2, -1.0]])
LABELS = torch.tensor([0, 2])


def test_worst_margin() -> None:
    assert torch.allclose(worst_margin(LOGITS, LABELS), torch.tensor([2.0, -1.2]))


def test_a_tie_is_no_margin() -> None:
    assert worst_margin(torch.tensor([[1.0, 1.0]]), torch.tensor([0])).item() == 0.0


def test_cross_entropy_is_that_of_torch() -> None:
    loss = LOSSES["cross_entropy"](LOGITS, LABELS, temperature=1.0, margin=0.0)
    expected = functional.cross_entropy(LOGITS, LABELS)
    assert torch.allclose(loss, expected)


def test_cross_entropy_becomes_a_hinge_when_sharp() -> None:
    loss = LOSSES["cross_entropy"](LOGITS, LABELS, temperature=1e4, margin=3.0)
    hinge = LOSSES["worst_class_hinge"](LOGITS, LABELS, margin=3.0)
    assert torch.allclose(loss, hinge, atol=1e-3)


def test_hinges() -> None:
    assert LOSSES["worst_class_hinge"](LOGITS, LABELS, margin=3.0).item() == pytest.approx(
        (1.0 + 4.2) / 2
    )
    # The paper's: over all classes, divided by their number.
    assert LOSSES["multi_margin"](LOGITS, LABELS, margin=3.0).item() == pytest.approx(
        ((1.0 + 0.5) / 3 + (4.0 + 4.2) / 3) / 2
    )


def test_hkr() -> None:
    loss = LOSSES["hkr"](LOGITS, LABELS, margin=3.0, alpha=2.0).item()
    separation = ((3.0 - 0.75) + (-1.0 - 0.1)) / 2
    assert loss == pytest.approx(2.0 * 2.6 - separation)


def test_certified_ramp_counts_what_is_missing() -> None:
    bare = LOSSES["worst_class_hinge"](LOGITS, LABELS, margin=3.0)
    ramp = LOSSES["certified_ramp"](
        LOGITS, LABELS, margin=3.0, target=0.5, sharpness=0.25, weight=3.0
    )
    counts = [1 / (1 + math.exp((margin - 0.5) / 0.25)) for margin in (2.0, -1.2)]
    assert (ramp - bare).item() == pytest.approx(3.0 * sum(counts) / 2, rel=1e-5)


def test_logit_annealing() -> None:
    plain = LOSSES["cross_entropy"](LOGITS, LABELS, temperature=1 / 0.75, margin=2.0)
    assert torch.allclose(LOSSES["logit_annealing"](LOGITS, LABELS, 0.75, 2.0, 0.0), plain)
    p = ((LOGITS - 2.0 * functional.one_hot(LABELS, 3)) / 0.75).softmax(1)[range(2), LABELS]
    expected = (-0.75 * (1 - p) ** 5 * p.log()).mean()
    assert torch.allclose(LOSSES["logit_annealing"](LOGITS, LABELS, 0.75, 2.0, 5.0), expected)
    # Far ahead an example counts for nothing, and its gradient is finite.
    far = torch.tensor([[200.0, 0.0]], requires_grad=True)
    LOSSES["logit_annealing"](far, torch.tensor([0]), 0.75, 2.0, 0.5).backward()
    assert far.grad is not None and float(far.grad.abs().max()) == 0.0


def test_emma_raises_every_class_at_most_to_a_tie() -> None:
    raised = torch.tensor([[3.0, 2.5, 2.0], [0.0, 0.2, -1.0]])
    expected = functional.cross_entropy(raised, LABELS)
    assert torch.allclose(LOSSES["emma"](LOGITS, LABELS, 1.0, 1.5), expected)
    tie = LOSSES["emma"](LOGITS[:1], LABELS[:1], 1.0, 100.0)
    assert tie.item() == pytest.approx(math.log(3))
    logits = LOGITS.clone().requires_grad_()
    LOSSES["emma"](logits, LABELS, 1.0, 100.0).backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad[0], torch.tensor([-2.0, 1.0, 1.0]) / 6)


@pytest.mark.parametrize("name", schema.GROUPS["loss"])
def test_every_option_changes_the_loss(name: str) -> None:
    config: Any = schema.GROUPS["loss"][name]()
    config.name = name
    torch.manual_seed(0)
    logits, labels = torch.randn(64, 5), torch.randint(0, 5, (64,))
    before = build_loss(config)(logits, labels)
    for key, value in vars(config).items():
        if key == "name":
            continue
        changed = type(config)(**{**vars(config), key: value + 0.7})
        assert not torch.allclose(build_loss(changed)(logits, labels), before), key


@pytest.mark.parametrize("name", schema.GROUPS["loss"])
def test_a_small_step_along_the_gradient_lowers_it(name: str) -> None:
    config: Any = schema.GROUPS["loss"][name]()
    config.name = name
    loss = build_loss(config)
    torch.manual_seed(0)
    logits = torch.randn(32, 4, dtype=torch.double, requires_grad=True)
    labels = torch.randint(0, 4, (32,))
    value = loss(logits, labels)
    value.backward()
    assert logits.grad is not None
    assert loss(logits - 0.01 * logits.grad, labels) < value
