"""Configurations composed as the command line composes them, without its process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from command_line import composing

QUICK = [
    "model.widths=[8,8]",
    "training.steps=30",
    "training.check_every=10",
    "training.check_points=50",
    "training.batch_size=16",
    "evaluation.points=60",
    "evaluation.confidence_points=200",
    "device=cpu",
    "threads=1",
]


@pytest.fixture
def compose() -> Callable[..., Any]:
    """The typed configuration of `lipsort estimate-wasserstein` for some overrides."""
    return composing("estimate-wasserstein", QUICK)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures out, which other tests draw: they take most of the time."""
    from lipsort_cli.commands import estimate_wasserstein

    monkeypatch.setattr(estimate_wasserstein, "draw_all", lambda *_: [])
