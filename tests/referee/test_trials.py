"""The small version of benchmarks/soundness.py: nothing is refuted, and bounds are not blunt."""

from __future__ import annotations

import adapter
import numpy as np
import pytest
from boundaries import try_radii
from coverage_trials import try_means, try_pairs, try_upper
from definitions import DEFINITIONS
from deployed import try_deployed
from measures import try_measures
from tally import Tally
from trials import try_errors, try_norms

OPERATIONS = sorted(DEFINITIONS)


def _seed(op: str) -> np.random.Generator:
    return np.random.default_rng(sum(map(ord, op)))


@pytest.mark.parametrize("op", OPERATIONS)
def test_errors_stay_within_their_bounds(op: str) -> None:
    rng, tally = _seed(op), Tally()
    for _ in range(40):
        try_errors(rng, tally, op)
    assert not tally.violations, tally.violations[:3]
    assert tally.checked[op] > 1000


@pytest.mark.parametrize("op", OPERATIONS)
def test_constants_are_never_exceeded_and_nearly_reached(op: str) -> None:
    rng, tally = _seed(op), Tally()
    for _ in range(25):
        try_norms(rng, tally, op)
    assert not tally.violations, tally.violations[:3]
    assert tally.checked[op] > 20 and tally.closest[op] > 0.99


@pytest.mark.parametrize("op", OPERATIONS)
def test_no_label_is_lost_within_a_radius(op: str) -> None:
    rng, tally = _seed(op), Tally()
    for _ in range(10):
        try_radii(rng, tally, op)
    assert not tally.violations, tally.violations[:3]


def test_wasserstein_bounds_never_exceed_the_distance() -> None:
    rng, tally = np.random.default_rng(0), Tally()
    for op in OPERATIONS * 25:
        try_measures(rng, tally, op)
    assert not tally.violations, tally.violations[:3]
    assert tally.total > 100 and max(tally.closest.values()) > 0.999


def test_bounds_are_not_vacuous() -> None:
    """Somewhere an error is half of its bound, and a label is lost just outside its radius."""
    rng, errors, radii = np.random.default_rng(1), Tally(), Tally()
    for _ in range(40):
        try_errors(rng, errors, "dense")
        try_radii(rng, radii, "dense")
    assert max(errors.closest.values()) > 0.5
    assert max(radii.closest.values()) > 0.99


@pytest.mark.parametrize("op", OPERATIONS)
def test_what_is_deployed_computes_what_is_certified(op: str) -> None:
    rng, tally = _seed(op), Tally()
    for _ in range(15):
        try_deployed(rng, tally, op)
    assert not tally.violations, tally.violations[:3]
    assert tally.checked[f"torch {op}"] > 20 or op in ("tanh", "sigmoid")


def test_confidence_bounds_cover() -> None:
    tally = Tally()
    try_means(tally, 6)
    try_means(tally, 4, (0.0, 0.25, 1.0))
    try_pairs(tally, (3, 5))
    try_upper(tally, (6, 9))
    assert not tally.violations, tally.violations[:3]
    assert tally.closest["betting"] > 0.2


def test_every_norm_of_the_verifier_is_tried() -> None:
    assert set(adapter.known_norms()) == set(adapter.NORMS)
