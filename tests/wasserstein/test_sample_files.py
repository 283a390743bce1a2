"""Reported cases of sample files, from the command's configuration to its proven bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lipsort_cli.commands.estimate_wasserstein import run
from lipsort_cli.errors import UsageError
from lipsort_cli.files import read_json
from lipsort_cli.verifier.verify import verify

RNG = np.random.default_rng(0)
RIGHT, UP = np.array([1.0, 0.0]), np.array([0.0, 1.0])
NOW = 1_700_000_000_000_000_000
FEW = ["training.steps=5", "model.widths=[8]", "evaluation.confidence_points=20"]


def estimate(compose: Callable[..., Any], folder: Path, p: Any, q: Any, *more: str) -> Any:
    """Results of the files that ``p`` and ``q`` are saved to, or are."""
    places = []
    for name, value in (("p", p), ("q", q)):
        if isinstance(value, np.ndarray):
            np.save(folder / f"{name}.npy", value)
            value = folder / f"{name}.npy"
        places.append(f"distribution.{name}={value}")
    (folder / "run").mkdir(exist_ok=True)
    run(compose("distribution=files", *places, *FEW, *more), folder / "run")
    return read_json(folder / "run" / "results.json")


def bounds(results: dict[str, Any]) -> tuple[float, float]:
    """The best proven bounds."""
    proven = [b for b in results["bounds"] if b["evidence"] == "proven"]
    lower = max(b["value"] for b in proven if b["kind"] == "lower")
    return lower, min(b["value"] for b in proven if b["kind"] == "upper")


def test_times_in_nanoseconds(
    compose: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = NOW + RNG.integers(0, 1000, (50, 1))
    results = estimate(compose, tmp_path, times, times + 60)
    lower, upper = bounds(results)
    assert lower <= 60 <= upper and upper - lower < 1e-6
    assert results["shift"] == [float(NOW)]
    assert results["lower_bound"]["value"] > 0  # float32 keeps differences: the critic learns
    assert "1700000000000000000 off coordinate 0 of both samples" in capsys.readouterr().out
    assert verify(tmp_path / "run" / "certificate.json").status == "VALID"
    assert (
        read_json(tmp_path / "run" / "certificate.json")["data"]["source"] == "files, less 1.7e+18"
    )
    assert read_json(tmp_path / "run" / "run.json")["data"]["shift"] == [float(NOW)]


def test_far_floats_whose_critic_used_to_be_constant(
    compose: Callable[..., Any], tmp_path: Path
) -> None:
    values = 1.7e18 + 256.0 * RNG.integers(0, 4, (50, 1))
    lower, upper = bounds(estimate(compose, tmp_path, values, values + 512))
    assert lower <= 512 <= upper and upper - lower < 1e-6


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e-6, 1.0, 1e6, 1e15])
def test_every_scale(compose: Callable[..., Any], tmp_path: Path, scale: float) -> None:
    values = RNG.standard_normal((60, 3))
    results = estimate(compose, tmp_path, values * scale, (values + np.eye(3)[0]) * scale)
    lower, upper = bounds(results)
    assert lower <= upper and lower / scale > 1 - 1e-6 and upper / scale < 1 + 1e-6
    assert results["transport_width"] < 1e-6
    assert any("exact transport" in bound["method"] for bound in results["bounds"])


@pytest.mark.usefixtures("no_pictures")
def test_a_fill_value_that_both_share(compose: Callable[..., Any], tmp_path: Path) -> None:
    values = RNG.standard_normal((40, 2))
    p, q = values.copy(), values + RIGHT
    p[:10] = q[:10] = 1e15
    lower, upper = bounds(estimate(compose, tmp_path, p, q))
    assert lower == pytest.approx(0.75, rel=1e-6) and upper == pytest.approx(0.75, rel=1e-6)


@pytest.mark.usefixtures("no_pictures")
def test_what_is_known_only_roughly_is_not_called_exact(
    compose: Callable[..., Any], tmp_path: Path
) -> None:
    near = RNG.standard_normal((30, 2))
    p, q = np.concatenate([near, [1e12 * UP]]), np.concatenate([near + RIGHT, [2e12 * UP]])
    np.save(tmp_path / "w.npy", np.append(np.ones(30), 1e-11))  # all of W1 is from both ends
    weights = [f"distribution.{side}_weights={tmp_path / 'w.npy'}" for side in "pq"]
    results = estimate(compose, tmp_path, p, q, *weights, "evaluation.holdout=0")
    words = {b["method"] for b in results["bounds"] if "transport" in b["method"]}
    assert results["transport_width"] > 1e-6
    assert all("known to" in method and "exact" not in method for method in words)


@pytest.mark.usefixtures("no_pictures")
def test_sixteen_bit_folders(compose: Callable[..., Any], tmp_path: Path) -> None:
    for name, offset in (("p", 1000), ("q", 30_000)):
        (tmp_path / name).mkdir()
        for i in range(6):
            levels = (RNG.integers(0, 400, (8, 8)) + offset).astype(np.uint16)
            Image.fromarray(levels).save(tmp_path / name / f"{i:02d}.png")
    lower, upper = bounds(estimate(compose, tmp_path, tmp_path / "p", tmp_path / "q"))
    assert 3.4 < lower <= upper < 3.7  # 29,000 of 65,535 in 64 pixels


@pytest.mark.usefixtures("no_pictures")
def test_swapped_columns_are_no_distance(compose: Callable[..., Any], tmp_path: Path) -> None:
    values = RNG.standard_normal((20, 2)) * [1, 100]
    np.savetxt(tmp_path / "p.csv", values, delimiter=",", header="a,b", comments="")
    np.savetxt(tmp_path / "q.csv", values[:, ::-1], delimiter=",", header="b,a", comments="")
    lower, upper = bounds(estimate(compose, tmp_path, tmp_path / "p.csv", tmp_path / "q.csv"))
    assert lower == upper == 0
    (tmp_path / "q.csv").write_text("a,c\n1,2\n3,4\n")
    with pytest.raises(UsageError, match=r"distribution\.columns=\[a\]"):
        estimate(compose, tmp_path, tmp_path / "p.csv", tmp_path / "q.csv")


@pytest.mark.usefixtures("no_pictures")
def test_channels_last_reach_a_convolutional_critic_in_front(
    compose: Callable[..., Any], tmp_path: Path
) -> None:
    np.save(tmp_path / "p.npy", RNG.random((12, 8, 8, 1), dtype=np.float32))
    np.save(tmp_path / "q.npy", RNG.random((12, 8, 8, 1), dtype=np.float32))
    from lipsort_cli.data.samples import load_samples

    assert load_samples(str(tmp_path / "p.npy")).shape == (1, 8, 8)
