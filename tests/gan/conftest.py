"""Configurations of `lipsort wgan` composed as the command line composes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from command_line import composing

QUICK = [
    "generator.latent=4",
    "generator.normalisation=batch",
    "critic.widths=[16,16]",
    "training.steps=6",
    "training.batch_size=16",
    "training.frames=2",
    "training.log_every=2",
    "training.checkpoint_seconds=1000",
    "device=cpu",
    "threads=1",
]


@pytest.fixture
def compose() -> Callable[..., Any]:
    """The typed configuration of `lipsort wgan` for some overrides."""
    return composing("wgan", QUICK)


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the judgement out, which has tests of its own and takes most of the time."""
    from lipsort_cli.commands import wgan
    from lipsort_cli.gan.evaluation import Judgement

    monkeypatch.setattr(wgan, "evaluate", lambda *_: Judgement({"measures": {}}, lambda: None))
    monkeypatch.setattr(wgan, "check", lambda *_: None)


@pytest.fixture
def unpictured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no frames: an empty file stands for each."""
    from lipsort_cli.gan import figures

    def blank(path: Any, *_: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

    monkeypatch.setattr(figures, "draw_samples", blank)
    monkeypatch.setattr(figures.Film, "finish", lambda self: self.folder)
