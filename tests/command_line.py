"""The command line as a function, for tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lipsort_cli import app
from lipsort_cli.cli.launch import launch
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.schema import find
from lipsort_cli.config.typed import to_typed


def lipsort(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the whole command line in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["lipsort", *arguments])
    try:
        app.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def train(*arguments: str) -> None:
    command = find("train")
    assert command is not None
    launch(command, list(arguments))


def composing(command: str, quickly: Sequence[str]) -> Callable[..., Any]:
    """Composes typed configurations of a command, without a process: ``quickly`` if not told."""

    def composed(*overrides: str, quick: bool = True) -> Any:
        given = [*(quickly if quick else []), *overrides]
        with Composer(command) as composer:
            return to_typed(composer.check(given, multirun=False), command)

    return composed
