"""The end of a sweep: one column a critic, the best of each line, and a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lipsort_cli.config.wgan import MlpGenerator
from lipsort_cli.gan.generators import build_generator, save_generator
from lipsort_cli.gan.sweep import best, collect, summarise


def job(folder: Path, number: int, overrides: list[str], values: dict[str, float]) -> None:
    directory = folder / str(number)
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "overrides.yaml").write_text("".join(f"- {o}\n" for o in overrides))
    torch.manual_seed(number)
    shape = (2,) if "data=toy" in overrides else (1, 8, 8)
    config = MlpGenerator(latent=2, widths=[4])
    save_generator(directory / "generator.safetensors", build_generator(config, shape), config)
    better = {"sliced_w1": "lower", "recall": "higher", "w1_lower": None}
    measures: dict[str, Any] = {
        key: {
            "generated": {"value": value},
            "data": {"value": 0.5},
            "evidence": "proven" if key == "w1_lower" else "empirical",
            "better": better[key],
            "title": key.replace("_", " "),
            "method": "",
        }
        for key, value in values.items()
    }
    results = {"steps": 100, "train_seconds": 2.0, "quality": {"measures": measures}}
    (directory / "results.json").write_text(json.dumps(results))


@pytest.mark.parametrize("data", ["mnist", "toy"])
def test_summary(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = [f"data={data}", "training.steps=9"]
    values = {"sliced_w1": 1.0, "recall": 0.25, "w1_lower": 0.5}
    job(tmp_path, 0, ["critic=gp", "seed=0", *common], values)
    job(tmp_path, 1, ["critic=gp", "seed=1", *common], {**values, "recall": 0.75})
    job(tmp_path, 10, ["critic=groupsort", "seed=0", *common], {**values, "sliced_w1": 0.5})
    job(tmp_path, 11, ["critic=groupsort", "seed=1", *common], {**values, "sliced_w1": 0.7})
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "results.json").write_text("{}")
    rows = summarise(tmp_path)
    assert [(row["name"], row["jobs"]) for row in rows] == [
        ("critic=gp", 2),
        ("critic=groupsort", 2),
    ]
    assert rows[0]["measures"]["recall"]["value"] == pytest.approx(0.5)
    assert rows[0]["measures"]["recall"]["range"] == pytest.approx(0.5)
    assert rows[1]["measures"]["sliced_w1"]["value"] == pytest.approx(0.6)
    assert best(rows, "sliced_w1") == {"critic=groupsort"}
    assert best(rows, "recall") == {"critic=gp"}
    assert best(rows, "w1_lower") == set()
    assert json.loads((tmp_path / "comparison.json").read_text()) == rows
    assert (tmp_path / "comparison.png").stat().st_size > 1000
    shown = capsys.readouterr().out
    assert "0.6*" in shown
    assert "(proven)" in shown
    assert "Means over 2 jobs" in shown


def test_nothing_to_compare(tmp_path: Path) -> None:
    assert summarise(tmp_path) == []
    assert not (tmp_path / "comparison.json").exists()
    job(tmp_path, 0, ["critic=gp"], {"recall": 0.5})
    assert [row["name"] for row in collect(tmp_path)] == ["critic=gp"]
