"""`lipsort verify` of a folder without a certificate, and what certifying takes of a test set."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import lipsort

from lipsort_cli.config.certificates import AttackConfig, CertifyConfig
from lipsort_cli.files import write_json


class Stop(Exception):
    """Raised where no more of a command is needed."""


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (None, ["is no run directory"]),
        ({"command": "theory", "status": "finished"}, ["is a run of `lipsort theory`"]),
        ({"command": "train", "status": "running"}, ["killed", "resume="]),
        ({"command": "train", "status": "failed"}, ["is failed", "resume="]),
        ({"command": "train"}, ["not the record of a lipsort run"]),
    ],
)
def test_what_cannot_be_certified_is_not_said_to_be(
    record: dict[str, Any] | None,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a run"
    folder.mkdir()
    if record is not None:
        write_json(folder / "run.json", record)
    assert lipsort(monkeypatch, "verify", "a run") == 2
    shown = capsys.readouterr().err
    assert "a run holds no certificate.json" in shown and "issue one with" not in shown
    assert all(word in shown for word in words)
    if "resume=" in words:
        command = shlex.split(shown.split("`")[1])
        assert command == ["lipsort", "train", "resume='a run'"]


def test_what_can_be_certified_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a run").mkdir()
    write_json(Path("a run/run.json"), {"command": "train", "status": "finished"})
    assert lipsort(monkeypatch, "verify", "a run") == 2
    assert "issue one with: lipsort certify 'a run'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "config"), [("attack", AttackConfig), ("certify", CertifyConfig)]
)
@pytest.mark.parametrize(("asked", "said"), [(10_000, True), (360, False), (0, False)])
def test_fewer_points_than_were_asked_for_are_said(
    command: str,
    config: Any,
    asked: int,
    said: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: Any) -> None:
        raise Stop

    write_json(tmp_path / "run.json", {"command": "train", "status": "finished"})
    module = importlib.import_module(f"lipsort_cli.commands.{command}")
    trained = SimpleNamespace(labels=range(360), network=None, config=None)
    monkeypatch.setattr(module, "open_run", lambda *_: trained)
    monkeypatch.setattr(module, "load_network", lambda _: SimpleNamespace(classes=2))
    monkeypatch.setattr(module, "resolve_claim", stop)
    with pytest.raises(Stop):
        module.run(config(run=str(tmp_path), points=asked), tmp_path)
    line = "points=10000: the test set has 360, all taken"
    assert (line in capsys.readouterr().out) is said
