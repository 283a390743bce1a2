"""What is said of a folder that cannot be written to: words that the same command line takes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from command_line import lipsort

from lipsort_cli.cli.plain import PLAIN
from lipsort_cli.errors import LipsortError


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train hydra.run.dir=afile/x", "hydra.run.dir=FOLDER"),
        ("train -m seed=0,1 hydra.sweep.dir=afile/x", "hydra.sweep.dir=FOLDER"),
        ("report run hydra.run.dir=afile/x", "hydra.run.dir=FOLDER"),
        ("theory afile/x", "`lipsort theory FOLDER`"),
        ("reproduce 9 --out afile/x", "--out FOLDER"),
        ("reproduce 9 --record afile/x", "--record FOLDER"),
        ("--install-completion bash", "HOME=FOLDER"),
    ],
)
def test_another_folder_is_chosen_as_this_command_lets_one(
    line: str, said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("afile").write_text("mine")
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "afile"))
    Path("run").mkdir()
    Path("run/run.json").write_text('{"command": "train", "status": "finished"}')
    assert lipsort(monkeypatch, *line.split()) in (1, 2)
    shown = " ".join(capsys.readouterr().err.split())
    assert f"with {said}" in shown and "cannot write" in shown and "Traceback" not in shown


def test_a_run_that_is_gone_on_with_has_no_other_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "training.epochs=1", "model.widths=[8]", "threads=1", "hydra.run.dir=run"]
    assert lipsort(monkeypatch, *words) == 0
    Path("run/.lock").mkdir()  # in the way, whoever asks
    assert lipsort(monkeypatch, "train", "resume=run") == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "choose another folder with a copy: resume=COPY" in shown and "hydra" not in shown


@pytest.mark.parametrize("name", PLAIN)
def test_what_the_system_refuses_is_a_message(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from typer.main import get_command

    from lipsort_cli.cli import application

    def refused(**_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/some/python")

    command = get_command(application.app).commands[name]  # type: ignore[attr-defined]
    monkeypatch.setattr(command, "callback", refused)
    with pytest.raises(LipsortError, match="^/some/python: Permission denied$"):
        command.main(["x"] if name in ("verify", "generalisation") else [], standalone_mode=False)
