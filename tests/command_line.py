"""The command line as a function, for tests."""

from __future__ import annotations

import sys

import pytest

from lipsort_cli import app
from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import find


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
