"""Every preset of the paper: composed and checked as a sweep elsewhere, run small here."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path

import pytest
import yaml

from lipsort_cli.cli.plain import PLAIN
from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.tree import config_root, heading
from lipsort_cli.reports.values import UNSTATED, figures
from lipsort_cli.reproduction.jobs import command_of
from lipsort_cli.reproduction.plan import plan
from lipsort_cli.reproduction.sizes import FULL, QUICK
from lipsort_cli.reproduction.studies import STUDIES
from lipsort_cli.reproduction.studies.generator import DISTANCE
from lipsort_cli.reproduction.worker import perform

PAPER = [name for name in group_options("experiment") if name.startswith(("paper/", "ours/"))]
SMALLER = [name for name in PAPER if not name.startswith("paper/full/")]

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
        "data=digits", "data.train_per_class=null", "training.steps=2", "training.batch_size=8",
        "training.frames=1",
        "evaluation.samples=40", "evaluation.critic_steps=0", "evaluation.transport_points=0",
        "evaluation.sliced=5", "threads=1", "device=cpu",
    ],
}  # fmt: skip


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipsort_cli.commands.estimate_wasserstein.draw_all", lambda *_: [])
    monkeypatch.setattr("lipsort_cli.commands.train._draw", lambda *_: None)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose generator critics look at, and whose classifier judges others."""
    directory: Path = tmp_path_factory.mktemp("generator")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lipsort_cli.gan.evaluation.features._STEPS", 30)  # which has its own tests
        perform("wgan", SMALL["wgan"], directory)
    return directory


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "preset",
    [
        name if name in SMALLER else pytest.param(name, marks=pytest.mark.slow)
        for name in PAPER
        if command_of(name) in SMALL
    ],
)
def test_runs_small(preset: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    command = command_of(preset)
    overrides = [f"experiment={preset}", "hydra.mode=RUN", *SMALL[command]]
    if command == "wgan" or "generator" in preset:
        key = "evaluation.classifier" if command == "wgan" else "distribution.run"
        overrides.append(f"{key}='{request.getfixturevalue('generator')}'")
    if "lenet" in preset:
        overrides += ["model.channels=[4,4]", "model.kernel=3"]
    if command == "wgan":
        own = preset.endswith("/wgan") and "ours" not in preset
        overrides += ["model.channels=[4,4]", "model.widths=[8]"] if own else ["critic.widths=[8]"]
        overrides += [] if own else ["critic.channels=[]"]
    else:
        size = 18 if "groupsort" in preset else 16
        overrides.append(f"model.widths=[{size},{size}]")
    perform(command, overrides, tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["lipschitz_bound"] > 0 or command == "wgan"
    # What no file says the kind of would be listed as that in every report.
    assert [f.name for f in figures(results, command, "l2") if f.evidence == UNSTATED] == []


@pytest.mark.parametrize("preset", [name for name in SMALLER if name.startswith("paper/")])
def test_small_versions_change_sizes_of_the_published_ones(preset: str) -> None:
    full = preset.replace("paper/", "paper/full/")
    assert full in PAPER
    path = config_root() / "experiment" / f"{preset}.yaml"
    assert yaml.safe_load(path.read_text())["defaults"][0] == f"/experiment/{full}"
    texts = [heading(config_root() / "experiment" / f"{name}.yaml")[1] for name in (preset, full)]
    assert texts[0] != texts[1] and all(len(text) > 20 for text in texts)


def test_every_preset_belongs_to_an_experiment() -> None:
    used = {preset for study in STUDIES for preset in study.presets} | set(DISTANCE)
    assert used == set(SMALLER)
    assert set(QUICK) | set(FULL) <= used
    assert [study.number for study in STUDIES] == sorted({study.number for study in STUDIES})


@pytest.mark.parametrize(
    ("mode", "chosen"),
    [
        ("quick", QUICK),
        ("full", FULL),
        pytest.param("standard", PAPER, marks=pytest.mark.slow),
        pytest.param("full", PAPER, marks=pytest.mark.slow),
    ],
)
def test_every_job_composes(mode: str, chosen: Container[str], tmp_path: Path) -> None:
    """Every arm, and every job that follows from one, checked as its worker checks it.

    Those of presets that a size leaves alone are composed as sweeps in the presets' own test, and
    here among the slow ones.
    """
    jobs = [
        job
        for job in plan(list(STUDIES), tmp_path, [0], mode).jobs
        if job.preset.partition(":")[0] in chosen and job.command not in PLAIN
    ]
    assert {job.preset for job in jobs if ":" not in job.preset} == {
        preset.replace("paper/", "paper/full/") if mode == "full" else preset
        for preset in (SMALLER if chosen is PAPER else chosen)
    }  # fmt: skip
    for command in {job.command for job in jobs}:
        with Composer(command) as composer:
            for job in (job for job in jobs if job.command == command):
                composer.check(list(job.overrides), multirun=False)
