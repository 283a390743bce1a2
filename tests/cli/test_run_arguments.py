"""RUN: a run directory on the command line, and commands that work in one."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from lipsort_cli.cli.arguments import with_runs
from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import COMMANDS, Command
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import write_json
from lipsort_cli.quoting import quoted


@pytest.fixture
def inspector(train_calls: Any, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command that takes runs, with a configuration of its own."""
    from dataclasses import dataclass

    from lipsort_cli.cli import launch as module
    from lipsort_cli.config import compose
    from lipsort_cli.config.options import REQUIRED, option

    @dataclass
    class PeekConfig:
        run: str = option(REQUIRED, "the run directory")
        norm: str = option("l2", "norm", choices=["l2", "linf"])

    conf = Path("conf")
    conf.mkdir()
    (conf / "base.yaml").write_text((compose.config_root() / "base.yaml").read_text())
    (conf / "peek.yaml").write_text(
        textwrap.dedent(
            """\
            defaults: [base, schema/command/peek@_here_, _self_]
            hydra:
              run: {dir: "${run}"}
              output_subdir: .hydra/peek
              job: {name: peek}
            """
        )
    )
    command = Command("peek", PeekConfig, takes=("train",))
    monkeypatch.setitem(COMMANDS, "peek", command)
    root = conf.absolute()
    monkeypatch.setattr(compose, "config_root", lambda: root)
    monkeypatch.setattr(module, "config_root", lambda: root)
    fake = type(sys)("lipsort_cli.commands.peek")

    def run(config: Any, directory: Path) -> None:
        train_calls.configs.append(config)
        train_calls.directories.append(directory)

    fake.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lipsort_cli.commands.peek", fake)
    return command


def _finished(directory: Path, start: str = "2026") -> Path:
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra/config.yaml").write_text("of the training run\n")
    write_json(directory / "run.json", {"command": "train", "status": "finished", "start": start})
    return directory


def test_a_run_is_an_argument_or_the_newest(
    train_calls: Any, inspector: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _finished(tmp_path / "outputs/train/2026-01-01/1", "2026-01-01")
    newest = _finished(tmp_path / "outputs/train/2026-01-02/2", "2026-01-02")
    odd = _finished(tmp_path / "it's, an {odd}=name $x")
    launch(inspector, [])
    assert str(newest.relative_to(tmp_path)) in capsys.readouterr().out
    launch(inspector, [str(odd.relative_to(tmp_path)), "norm=linf"] if "=" not in odd.name else
           [f"run={odd}", "norm=linf"])  # fmt: skip
    assert train_calls.directories == [newest, odd]
    assert [c.run for c in train_calls.configs] == [str(newest), str(odd)]
    assert (newest / ".hydra/config.yaml").read_text() == "of the training run\n"
    assert (newest / ".hydra/peek/config.yaml").exists()


def test_paths_with_a_comma_between_them_are_a_sweep(
    train_calls: Any, inspector: Command, tmp_path: Path
) -> None:
    runs = [str(_finished(tmp_path / name)) for name in ("a", "b")]
    launch(inspector, ["-m", "a,b", "hydra.sweep.dir=s"])
    assert [config.run for config in train_calls.configs] == runs
    with pytest.raises(UsageError, match="add -m to sweep"):
        launch(inspector, ["a,b"])
    with pytest.raises(UsageError, match="a,c: no such directory"):
        launch(inspector, ["-m", "a,c"])
    for word, meant in (("A.onnx,B.onnx", "'A.onnx','B.onnx'"), ("A.onnx,C", "'A.onnx,C'")):
        for name in ("A.onnx", "B.onnx"):
            (tmp_path / name).touch()
        assert with_runs(COMMANDS["import"], [word], False) == [f"file={meant}"]


def test_a_refused_command_writes_nothing(
    train_calls: Any, inspector: Command, tmp_path: Path
) -> None:
    run = _finished(tmp_path / "run")
    elsewhere = f"hydra.run.dir={tmp_path / 'a' / 'b'}"

    def refuse(config: Any, directory: Path) -> None:
        raise LipsortError("no")

    module = sys.modules[inspector.module]
    accept = module.run
    module.run = refuse  # type: ignore[attr-defined]
    before = _contents(tmp_path)
    for overrides in ([], [elsewhere]):
        with pytest.raises(LipsortError, match="no"):
            launch(inspector, [str(run), *overrides])
        assert _contents(tmp_path) == before and not (tmp_path / "a").exists()
    # What was saved for results that exist is not replaced by what was refused.
    module.run = accept  # type: ignore[attr-defined]
    launch(inspector, [str(run)])
    before = _contents(tmp_path)
    assert any("peek" in str(path) for path in before)
    module.run = refuse  # type: ignore[attr-defined]
    with pytest.raises(LipsortError, match="no"):
        launch(inspector, [str(run), "norm=linf"])
    assert _contents(tmp_path) == before


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_run_or_two_runs_are_refused(inspector: Command, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished run"):
        launch(inspector, [])
    with pytest.raises(UsageError, match="one RUN directory"):
        launch(inspector, ["a", "b"])
    with pytest.raises(UsageError, match="a: no such directory"):
        launch(inspector, ["a"])
    run = _finished(tmp_path / "a")
    with pytest.raises(UsageError, match="norm: found 'l3'"):
        launch(inspector, [str(run), "norm=l3"])


@pytest.mark.parametrize("value", ["plain", "a b", "it's", "a,b=c{d}[e]", "back\\slash", "$x"])
def test_quoting_survives_hydras_grammar(value: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_override(f"run={quoted(value)}")
    assert parsed.value() == value
