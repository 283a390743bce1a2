"""Every preset of the paper: composed and checked as a sweep elsewhere, run small here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.tree import config_root, heading
from lipsort_cli.reproduction.jobs import command_of
from lipsort_cli.reproduction.studies import STUDIES
from lipsort_cli.reproduction.studies.generator import DISTANCE
from lipsort_cli.reproduction.worker import perform

PAPER = [name for name in group_options("experiment") if name.startswith("paper/")]
QUICK = [name for name in PAPER if not name.startswith("paper/full/")]

SMALL = {
    "train": [
        "data=digits", "data.train_per_class=10", "training.epochs=1", "training.batch_size=50",
        "evaluation.attack.points=5", "evaluation.attack.steps=1", "evaluation.arithmetic=real",
        "threads=1", "device=cpu",
    ],
    "estimate-wasserstein": [
        "training.steps=2", "training.batch_size=8", "training.check_points=20",
        "evaluation.points=20", "evaluation.confidence_points=20", "threads=1", "device=cpu",
    ],
    "wgan": [
        "data=digits", "training.steps=2", "training.batch_size=8", "training.frames=1",
        "evaluation.samples=40", "evaluation.critic_steps=0", "evaluation.transport_points=0",
        "evaluation.sliced=5", "threads=1", "device=cpu",
    ],
}  # fmt: skip


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipsort_cli.commands.estimate_wasserstein.draw_all", lambda *_: [])
    monkeypatch.setattr("lipsort_cli.commands.train._draw", lambda *_: None)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "preset",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in PAPER
        if command_of(name) in SMALL
    ],
)
def test_runs_small(preset: str, tmp_path: Path) -> None:
    command = command_of(preset)
    overrides = [f"experiment={preset}", "hydra.mode=RUN", *SMALL[command]]
    if "generator" in preset:
        trained = tmp_path / "generator"
        trained.mkdir()
        perform("wgan", ["data=digits", *SMALL["wgan"]], trained)
        overrides.append(f"distribution.run='{trained}'")
    if "lenet" in preset:
        overrides += ["model.channels=[4,4]", "model.kernel=3"]
    overrides.append("critic.widths=[16,16]" if command == "wgan" else "model.widths=[16,16]")
    perform(command, overrides, tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["lipschitz_bound"] > 0 or command == "wgan"


@pytest.mark.parametrize("preset", QUICK)
def test_has_a_full_version_that_sweeps_at_least_as_much(preset: str) -> None:
    full = f"paper/full/{preset.removeprefix('paper/')}"
    assert full in PAPER
    path = config_root() / "experiment" / f"{full}.yaml"
    assert f"/experiment/{preset}" in yaml.safe_load(path.read_text())["defaults"]
    texts = [heading(config_root() / "experiment" / f"{name}.yaml")[1] for name in (preset, full)]
    assert texts[0] != texts[1] and all(len(text) > 20 for text in texts)


def test_every_preset_belongs_to_an_experiment() -> None:
    used = {f"paper/{name}" for study in STUDIES for name in study.presets}
    assert used | {f"paper/{DISTANCE}"} == set(QUICK)
    assert [study.number for study in STUDIES] == sorted({study.number for study in STUDIES})
