"""Diagnostics logged while training: there when asked for, and without influence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import find

SMALL = [
    "model.widths=[16,16]",
    "model.dropout=0.2",
    "training.epochs=2",
    "training.batch_size=256",
    "evaluation.attack.points=0",
    "threads=1",
]


def train(folder: Path, *overrides: str) -> Path:
    command = find("train")
    assert command is not None
    launch(command, [*SMALL, *overrides, f"hydra.run.dir={folder}"])
    return folder


def lines(run: Path) -> list[dict[str, Any]]:
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in logged if line["split"] == "diagnostics"]


def test_a_run_has_the_same_weights_with_diagnostics_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    without = train(tmp_path / "a")
    with_them = train(tmp_path / "b", "training.diagnostics_every=5", "model.lipschitz=1")
    assert lines(without) == []
    logged = lines(with_them)
    assert [line["step"] for line in logged] == [0, 5, 10, 12]  # 2 epochs of 6 steps
    assert logged[0]["gradient_kept"] == pytest.approx(1, abs=1e-5)
    assert {"jacobian_sigma_min", "gradient_norm.0", "active_units.2"} <= set(logged[-1])
    assert (without / "model.safetensors").read_bytes() == (
        with_them / "model.safetensors"
    ).read_bytes()
    fewer = train(tmp_path / "c", "training.diagnostics_every=100", "training.diagnostics_points=3")
    assert [line["step"] for line in lines(fewer)] == [0, 12]
    assert lines(fewer)[-1]["active_units.1"] != logged[-1]["active_units.1"]
