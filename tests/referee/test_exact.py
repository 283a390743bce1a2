"""``verify`` and ``verify --exact``: two derivations of one claim never contradict each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from definitions import DEFINITIONS
from files import try_files
from tally import Tally


@pytest.mark.parametrize("op", sorted(DEFINITIONS))
def test_what_is_valid_is_never_refuted_exactly(op: str, tmp_path: Path) -> None:
    rng, tally = np.random.default_rng(sum(map(ord, op)) + 1), Tally()
    for _ in range(6):
        try_files(rng, tally, op, tmp_path)
    assert not tally.violations, tally.violations[:3]
    assert tally.closest.get(op) == 1.0, "exact arithmetic proves some claim of every operation"
