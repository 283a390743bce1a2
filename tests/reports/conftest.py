"""What every test of reports starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
from by_hand import sweep_of


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two activations and two seeds."""
    return sweep_of(tmp_path / "sweep")
