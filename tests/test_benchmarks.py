"""Every benchmark can be started: what it takes from the package and from others exists."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

NAMES = sorted(path.stem for path in Path(__file__).parents[1].glob("benchmarks/*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_finds_what_it_uses(name: str) -> None:
    importlib.import_module(name)
