"""Every run can be certified: critics' runs through the commands that work on runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import COMMANDS, find
from lipsort_cli.config.tune import LOGGED
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.gan.runs import open_critic
from lipsort_cli.metrics import last_figures
from lipsort_cli.verifier.verify import verify

JUDGED = ["evaluation.samples=40", "evaluation.transport_points=20", "evaluation.sliced=5"]
RUNS = {
    "estimate-wasserstein": [
        "training.steps=5", "model.widths=[16]", "evaluation.points=40",
        "evaluation.confidence_points=50",
    ],
    "wgan": [
        "model=lenet", "model.channels=[4,4]", "model.widths=[8]", "constraint=bjorck",
        "training.steps=3", "training.frames=1", "evaluation.critic_steps=5", *JUDGED,
    ],
    "wgan of the trained critic": [
        "critic.widths=[16]", "training.steps=3", "training.frames=1", "evaluation.critic_steps=0",
        *JUDGED,
    ],
}  # fmt: skip


def command(name: str, *overrides: str) -> None:
    found = find(name)
    assert found is not None
    launch(found, list(overrides))


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder: Path = tmp_path_factory.mktemp("run") / "run"
    name = request.param.split()[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lipsort_cli.gan.evaluation.features._STEPS", 30)  # which has its own tests
        command(name, *RUNS[request.param], "threads=1", f"hydra.run.dir={folder}")
    return folder


def test_what_trainings_are_said_to_log_is_what_they_log(run: Path) -> None:
    splits = LOGGED[json.loads((run / "run.json").read_text())["command"]]
    names = {f"{split}.{name}" for split, found in splits.items() for name in found}
    assert set(last_figures(run / "metrics.jsonl")) == names


def test_a_run_is_certified_exported_inspected_and_reported(run: Path, tmp_path: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    certificate = run / "certificate.json"
    judged = results.get("quality", {}).get("measures", {}).get("w1_lower", {})
    stated = results.get("certified_value", judged.get("generated", {}).get("value"))
    assert certificate.is_file() == (stated is not None)
    if certificate.is_file():
        # What was printed is what the certificate proves.
        assert verify(certificate).status == "VALID"
        claim = json.loads(certificate.read_text())["claim"]
        assert float.fromhex(claim["value"]) == stated
    before = certificate.read_bytes() if certificate.is_file() else None
    command("certify", str(run))
    assert verify(certificate).status == "VALID"
    if before is not None:
        assert certificate.read_bytes() == before
    command("export", str(run), "points=16")
    assert verify(run / "export" / "certificate.json").status == "VALID"
    command("inspect", str(run), "points=8", "pictures=2")
    assert json.loads((run / "inspect.json").read_text())["points"] == 8
    command("report", str(run), f"hydra.run.dir={tmp_path}")
    assert (tmp_path / "report.html").is_file()


def test_fewer_points_are_another_claim(run: Path, tmp_path: Path) -> None:
    command("certify", str(run), "points=10", f"hydra.run.dir={tmp_path}")
    assert verify(tmp_path / "certificate.json").status == "VALID"
    with pytest.raises(UsageError, match="another claim: points 10 .asked: 12."):
        command("certify", str(run), "points=12", f"hydra.run.dir={tmp_path}")


def test_questions_without_sense_are_answered_in_a_sentence(run: Path) -> None:
    with pytest.raises(UsageError, match="a critic has none; give the directory of a run of"):
        command("attack", str(run))
    with pytest.raises(UsageError, match="eps: found .0.1.; a critic's certificate states a dist"):
        command("certify", str(run), "eps=[0.1]")
    for other in ("binary64", "binary32"):
        with pytest.raises(UsageError, match=f"arithmetic: found {other}; a critic's certificate"):
            command("certify", str(run), f"arithmetic={other}")


def test_commands_take_every_kind_of_run_or_say_why_not() -> None:
    made = {name for name, one in COMMANDS.items() if one.objective}
    for name in ("certify", "attack", "export", "inspect"):
        assert set(COMMANDS[name].takes) >= made or COMMANDS[name].senseless, name


def test_samples_that_have_changed_since_are_refused(tmp_path: Path) -> None:
    """Proven of others, a distance would look like the run's own."""
    rng, run = np.random.default_rng(0), tmp_path / "run"
    kept = {"p": rng.normal(size=(20, 3)), "q": rng.normal(size=(15, 3)), "w": rng.random(20)}

    def write(**changed: np.ndarray) -> None:
        for name, array in {**kept, **changed}.items():
            np.save(tmp_path / f"{name}.npy", array)

    write()
    sides = [f"distribution.{side}={tmp_path / side}.npy" for side in "pq"]
    sides.append(f"distribution.p_weights={tmp_path / 'w.npy'}")
    command("estimate-wasserstein", "distribution=files", *sides, "training.steps=3", "threads=1",
            "model.widths=[16]", f"hydra.run.dir={run}")  # fmt: skip
    assert len(open_critic(run).samples.x) == 20
    moved = {"p": kept["p"] + [[0, 0, 1]], "q": kept["q"] * 2}
    for changed in (
        *({name: array} for name, array in moved.items()),
        {"p": kept["p"][::-1]},
        {"q": kept["q"][:-1]},
        {"p": kept["q"], "q": kept["p"], "w": kept["w"][:15]},
        {"w": kept["w"] + 1},
    ):
        write(**changed)
        with pytest.raises(LipsortError, match="(?s)not those that .*found .*, allowed"):
            open_critic(run)
    write()
    command("certify", str(run), f"hydra.run.dir={tmp_path / 'issued'}")
    assert verify(tmp_path / "issued").status == "VALID"
