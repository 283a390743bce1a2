"""Distances that are called true: those of the float32 points that are compared and drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lipsort_cli.wasserstein.build import build_source
from lipsort_cli.wasserstein.sources import SampleSource
from lipsort_cli.wasserstein.synthetic import SyntheticSource
from lipsort_cli.wasserstein.transport import exact_transport

CLOUD = ("distribution=translated_cloud", "distribution.dim=3", "distribution.points=60")


@pytest.mark.parametrize("std", [1.0, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("shift", [1.0, 1e5])
@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_a_cloud_is_as_far_from_its_translate_as_it_says(
    compose: Callable[..., Any], std: float, shift: float, norm: str
) -> None:
    words = (f"distribution.std={std}", f"distribution.shift={shift}", f"norm={norm}")
    extra = ("constraint=linf",) if norm == "l1" else ()
    source = build_source(compose(*CLOUD, *words, *extra))
    assert isinstance(source, SampleSource) and source.truth is not None
    compared = source.compared(0, np.random.default_rng(0))
    exact = exact_transport(*compared, norm=norm)
    assert exact.lower * (1 - 1e-12) <= source.truth <= exact.upper * (1 + 1e-12)


@pytest.mark.parametrize(
    "words",
    [
        ("distribution=three_cones", "distribution.spacing=1e8"),
        ("distribution=translated_gaussians", "distribution.std=1e8"),
        ("distribution=scaled_gaussians", "distribution.std_p=1", "distribution.std_q=1.0000001"),
        ("distribution=shells", "distribution.p=[1e8]", "distribution.q=[1e8,100000001]"),
    ],
)
def test_what_float32_rounds_away_is_not_called_true(
    compose: Callable[..., Any], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    source = build_source(compose(*words))
    assert isinstance(source, SyntheticSource) and source.truth is None
    assert (source.pair.truth() or 0) > 0
    assert "float32" in capsys.readouterr().err


def test_equal_distributions_are_known_to_be_equal(compose: Callable[..., Any]) -> None:
    words = ("distribution=shells", "distribution.p=[1e8]", "distribution.q=[1e8]")
    assert build_source(compose(*words)).truth == 0


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_diameters_hold_for_points_of_float32(compose: Callable[..., Any], norm: str) -> None:
    words = ("distribution=cone", "distribution.dim=2", f"norm={norm}")
    extra = ("constraint=linf",) if norm == "l1" else ()
    source = build_source(compose(*words, *extra))
    points = source.batch(4000, np.random.default_rng(0))[1].astype(np.float64)
    longest = np.linalg.norm(points, axis=1).max()
    wide = source.diameters(norm)
    assert longest > 1, "some points are rounded outwards"
    assert wide is not None and wide[1] >= 2 * longest * (2**0.5 if norm == "l1" else 1)
