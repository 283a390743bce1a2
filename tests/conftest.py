"""What all tests share: no deadlines (machines are noisy), the same examples in every run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("lipsort", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lipsort")


@pytest.fixture(scope="session")
def image_data() -> Path:
    """The folder of MNIST and Fashion-MNIST; tests that need it are skipped where it is absent."""
    root = Path(os.environ.get("LIPSORT_DATA", "data"))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST under {root}: set LIPSORT_DATA to the folder that holds it")
    return root
