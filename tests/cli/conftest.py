"""A stand-in for the training command, so that the command line is tested without training."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lipsort_cli.runs import RunRecord


@dataclass
class Calls:
    """What the stand-in was called with; ``action`` is what it does."""

    configs: list[Any] = field(default_factory=list)
    directories: list[Path] = field(default_factory=list)
    action: Any = None


@pytest.fixture
def train_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    """Replace `lipsort train`'s module, and work in an empty folder."""
    calls = Calls()

    def run(config: Any, directory: Path) -> None:
        calls.configs.append(config)
        calls.directories.append(directory)
        with RunRecord.recording(directory, "train", config=config, seed=config.seed):
            if calls.action is not None:
                calls.action(config, directory)

    module = types.ModuleType("lipsort_cli.commands.train")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lipsort_cli.commands.train", module)
    monkeypatch.chdir(tmp_path)
    return calls
