"""Schedules: their values at known places, and warm-up."""

from __future__ import annotations

import pytest
import torch

from lipsort_cli.config.learning import CosineSchedule, StepSchedule
from lipsort_cli.optim import Rates, schedule_factor


@pytest.mark.parametrize(
    ("name", "progress", "expected"),
    [
        ("constant", 0.7, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.5),
        ("cosine", 1.0, 0.0),
        ("one_cycle", 0.0, 0.04),
        ("one_cycle", 0.3, 1.0),
        ("one_cycle", 1.0, 0.0),
    ],
)
def test_known_values(name: str, progress: float, expected: float) -> None:
    assert schedule_factor(name, progress) == pytest.approx(expected)


def test_step_multiplies_at_each_milestone() -> None:
    values = [
        schedule_factor("step", p, milestones=[0.5, 0.75], gamma=0.1) for p in (0.4, 0.5, 0.8)
    ]
    assert values == pytest.approx([1.0, 0.1, 0.01])


def test_warmup_ramps_up() -> None:
    assert schedule_factor("constant", 0.05, warmup=0.1) == pytest.approx(0.5)
    assert schedule_factor("constant", 0.2, warmup=0.1) == 1.0


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed are"):
        schedule_factor("linear", 0.5)


@pytest.mark.parametrize("config", [CosineSchedule(warmup=0.2), StepSchedule()])
def test_every_step_of_a_built_schedule_is_positive(config: object) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    rates = Rates(optimizer, config)
    seen = []
    for step in range(10):
        rates.set((step + 0.5) / 10)
        seen.append(optimizer.param_groups[0]["lr"])
    assert all(0 < value <= 2.0 for value in seen)
    assert seen[-1] < max(seen)
