"""The lines that an estimate comes to."""

from __future__ import annotations

from typing import Any

import pytest

from lipsort_cli.config.distributions import (
    DatasetDistribution,
    FilesDistribution,
    GeneratorDistribution,
    RingsDistribution,
)
from lipsort_cli.wasserstein.bounds import sides, verdict


def bound(kind: str, value: float, evidence: str = "proven") -> dict[str, Any]:
    return {"kind": kind, "value": value, "evidence": evidence, "about": "the two samples compared"}


SAMPLES = {
    "lower_bound": bound("lower", 0.2999999999),
    "upper_bound": bound("upper", 0.3000000001),
}


def test_an_interval_of_the_samples_is_rounded_outwards() -> None:
    (line,) = verdict(RingsDistribution(), SAMPLES)
    assert line.startswith("W1 between P and Q of rings: in [0.299999, 0.300001], proven")


def test_the_interval_is_the_tightest_that_is_proven() -> None:
    weak = SAMPLES | {"lower_bound": bound("lower", 0.1)}
    others = [bound("lower", 0.2999999), bound("upper", 0.9), bound("lower", 0.9, "empirical")]
    others.append(bound("lower", 0.9) | {"about": "the populations"})
    (line,) = verdict(RingsDistribution(), weak | {"bounds": others})
    assert line.startswith("W1 between P and Q of rings: in [0.299999, 0.300001], proven")


def test_the_populations_have_a_line_of_their_own() -> None:
    likely = "confidence 0.95"
    lines = verdict(
        RingsDistribution(),
        SAMPLES
        | {
            "population_lower_bound": bound("lower", -0.5, likely),
            "population_upper_bound": bound("upper", 0.5, likely),
        },
    )
    assert lines[1:] == ["W1 between their populations: in [0, 0.5], confidence 0.95 each"]
    lines = verdict(
        RingsDistribution(), SAMPLES | {"population_lower_bound": bound("lower", 0.25, likely)}
    )
    assert lines[1:] == ["W1 between their populations: at least 0.25, confidence 0.95"]


def test_ends_of_unlike_evidence_are_not_joined() -> None:
    results = SAMPLES | {"upper_bound": bound("upper", 0.5, "empirical")}
    (line,) = verdict(RingsDistribution(), results)
    assert "at least 0.299999, proven; at most 0.5, empirical" in line


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (FilesDistribution(p="/a/ours.csv", q="theirs.npz:x"), "ours.csv and theirs.npz:x"),
        (DatasetDistribution(), "mnist train/3 and train/8"),
        (GeneratorDistribution(), "generated samples and data"),
    ],
)
def test_sides_are_called_as_their_user_calls_them(distribution: Any, expected: str) -> None:
    assert sides(distribution) == expected
