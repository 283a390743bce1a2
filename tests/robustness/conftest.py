"""The fuzzer's process, warm: a fork of it is a command line, without the seconds of imports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Sound runs and files, made by the commands themselves; ``shop.attempt`` runs a command."""
    import os

    import fuzz

    before = dict(os.environ)
    fuzz.warm()
    try:
        made = fuzz.Workshop(tmp_path_factory.mktemp("workshop"))
    finally:  # at once: the session's other tests are not the fuzzer's
        os.environ.clear()
        os.environ.update(before)
    yield made


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder of data sets that holds none: what is tried here is tried on small data."""
    monkeypatch.setenv("LIPSORT_DATA", str(tmp_path_factory.mktemp("no-data")))
