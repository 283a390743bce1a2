"""``resume=RUN``: a run is finished as it was begun, or left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import train

from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import read_json, write_json


@pytest.fixture
def interrupted(train_calls: Any) -> Path:
    """A run that was interrupted."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    train_calls.action = stop
    with pytest.raises(Interrupted, match=r"`lipsort train resume=.*run`"):
        train("hydra.run.dir=run", "seed=5", "activation=groupsort", "activation.group_size=8")
    train_calls.action = None
    directory = train_calls.directories.pop()
    train_calls.configs.clear()
    assert read_json(directory / "run.json")["status"] == "interrupted"
    return Path(directory)


def test_a_run_is_resumed_as_it_was_begun(train_calls: Any, interrupted: Path) -> None:
    before = {p.name: p.read_bytes() for p in (interrupted / ".hydra").iterdir()}
    train("resume=run", "threads=2", "training.checkpoint_seconds=7")
    (config,) = train_calls.configs
    assert train_calls.directories == [interrupted]
    assert (config.seed, config.activation.group_size) == (5, 8)
    assert (config.threads, config.training.checkpoint_seconds) == (2, 7.0)
    assert config.resume == str(interrupted)
    assert {p.name: p.read_bytes() for p in (interrupted / ".hydra").iterdir()} == before
    assert read_json(interrupted / "run.json")["resumed"] == 1


def test_a_finished_run_is_left_alone(
    train_calls: Any, interrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(f"resume={interrupted}")
    before = (interrupted / "run.json").read_bytes()
    train(f"resume={interrupted}")
    assert len(train_calls.configs) == 1
    assert "finished already" in capsys.readouterr().out
    assert (interrupted / "run.json").read_bytes() == before


@pytest.mark.parametrize("override", ["seed=6", "activation=relu", "training.epochs=9"])
def test_nothing_that_changes_the_result_is_taken(
    train_calls: Any, interrupted: Path, override: str
) -> None:
    with pytest.raises(UsageError, match="finished as it was begun"):
        train("resume=run", override)
    with pytest.raises(UsageError, match="threads"):
        train("resume=run", "threads=many")
    assert train_calls.configs == []


def test_damaged_and_foreign_runs_are_not_resumed(train_calls: Any, interrupted: Path) -> None:
    record = read_json(interrupted / "run.json")
    config = (interrupted / ".hydra/config.yaml").read_text()
    (interrupted / ".hydra/config.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="damaged"):
        train("resume=run")
    (interrupted / ".hydra/config.yaml").write_text(config.replace("epochs", "epohcs"))
    with pytest.raises(UsageError, match="not a configuration of `lipsort train`"):
        train("resume=run")
    (interrupted / ".hydra/config.yaml").unlink()
    with pytest.raises(UsageError, match="config.yaml: no such file"):
        train("resume=run")
    write_json(interrupted / "run.json", record | {"command": "certify"})
    with pytest.raises(UsageError, match="a run of `lipsort certify`"):
        train("resume=run")
    (interrupted / "run.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        train("resume=run")
    (interrupted / "run.json").unlink()
    with pytest.raises(UsageError, match="no run directory"):
        train("resume=run")
    assert train_calls.configs == []


def test_a_run_that_still_runs_is_not_resumed(
    train_calls: Any, interrupted: Path, held: Any
) -> None:
    with held(interrupted) as child, pytest.raises(LipsortError) as caught:
        train("resume=run")
    assert f"process {child.pid} works in this run directory" in str(caught.value)
    train("resume=run")
    assert len(train_calls.configs) == 1
