"""The command line in front of Hydra: what runs, where, and what is refused before it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lipsort_cli import app
from lipsort_cli.cli.arguments import quoted
from lipsort_cli.cli.launch import launch
from lipsort_cli.config import compose
from lipsort_cli.config.schema import COMMANDS, Command, find
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.runs import read_json, write_json


def lipsort(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the whole command line in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["lipsort", *arguments])
    try:
        app.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def train(*arguments: str) -> None:
    command = find("train")
    assert command is not None
    launch(command, list(arguments))


def test_a_run_gets_its_own_directory(train_calls: Any, tmp_path: Path) -> None:
    train("seed=3", "activation=relu")
    train("seed=4")
    (first, second) = train_calls.directories
    assert first != second
    assert first.parents[2] == tmp_path / "outputs"
    assert first.parents[1].name == "train"
    assert train_calls.configs[0].seed == 3
    assert train_calls.configs[0].activation.name == "relu"
    assert sorted(p.name for p in first.iterdir()) == [".hydra", "run.json"]
    assert yaml.safe_load((first / ".hydra/overrides.yaml").read_text()) == [
        "seed=3",
        "activation=relu",
    ]
    assert read_json(first / "run.json")["status"] == "finished"


def test_the_environment_is_left_as_it_was(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = (list(sys.argv), Path.cwd(), signal.getsignal(signal.SIGTERM))
    train()
    assert (list(sys.argv), Path.cwd(), signal.getsignal(signal.SIGTERM)) == before
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_the_run_directory_can_be_chosen(train_calls: Any, tmp_path: Path) -> None:
    train("hydra.run.dir=here")
    assert train_calls.directories == [tmp_path / "here"]
    with pytest.raises(UsageError, match=r"holds a run already.*resume=here"):
        train("hydra.run.dir=here")
    assert len(train_calls.directories) == 1


def test_a_sweep_runs_every_combination_one_level_deeper(
    train_calls: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    # Hydra's flags may stand between overrides as well.
    train("activation=relu,maxmin", "-m", "seed=1,2")
    assert [c.activation.name for c in train_calls.configs] == ["relu", "relu", "maxmin", "maxmin"]
    assert [c.seed for c in train_calls.configs] == [1, 2, 1, 2]
    assert [d.name for d in train_calls.directories] == ["0", "1", "2", "3"]
    assert len({d.parent for d in train_calls.directories}) == 1
    assert "Job 3: activation=maxmin seed=2" in capsys.readouterr().out


def test_a_faulty_sweep_starts_nothing(train_calls: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found 0; allowed: >= 1"):
        train("-m", "training.epochs=2,1,0")
    assert train_calls.configs == []
    assert list(tmp_path.iterdir()) == []


def test_a_job_beyond_those_checked_beforehand_is_checked_as_it_starts(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "_CHECKED_JOBS", 1)
    with pytest.raises(UsageError, match="use activation=relu"):
        train("-m", "activation.name=maxmin,relu")
    assert [config.activation.name for config in train_calls.configs] == ["maxmin"]


def test_queries_run_nothing(
    train_calls: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("--cfg", "job", "optimizer.lr=0.5")
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["optimizer"]["lr"] == 0.5
    assert "hydra" not in shown
    train("data=npz", "--cfg", "job", "-p", "data")
    assert "path: ???" in capsys.readouterr().out
    train("--info", "defaults")
    assert "activation" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        train("--hydra-help")
    assert not end.value.code
    assert train_calls.configs == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["training.epochs=0"], ["training.epochs: found 0; allowed: >= 1"]),
        (["nonsense"], ["found 'nonsense'", "key=value"]),
        (["--nonsense"], ["--nonsense"]),
        (["--cfg", "everything"], ["everything", "job"]),
        (["--config-dir", "nowhere"], ["--config-dir", "nowhere"]),
        (["resume=nowhere"], ["resume: found nowhere, which is no directory"]),
        (["resume=nowhere", "-m"], ["resume", "-m"]),
        (["resume=a", "resume=b"], ["one run directory"]),
    ],
)
def test_what_is_wrong_is_said_with_exit_code_2(
    train_calls: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    parts: list[str],
) -> None:
    assert lipsort(monkeypatch, "train", *arguments) == 2
    output = capsys.readouterr()
    for part in parts:
        assert part in output.err
    assert output.out == ""
    assert train_calls.configs == []
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_one_message(
    train_calls: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "outputs").write_text("a file where the folder should be")
    assert lipsort(monkeypatch, "train") == 1
    message = capsys.readouterr().err
    assert "cannot write" in message
    assert "hydra.run.dir=FOLDER" in message
    assert "Traceback" not in message


def test_a_failing_command_has_its_own_exit_code(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise LipsortError("the data are nowhere [to be found]")

    train_calls.action = fail
    assert lipsort(monkeypatch, "train") == 1
    assert capsys.readouterr().err == "lipsort: the data are nowhere [to be found]\n"
    record = read_json(train_calls.directories[0] / "run.json")
    assert (record["status"], record["reason"]) == ("failed", "the data are nowhere [to be found]")


def test_a_failing_job_does_not_stop_a_sweep(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(config: Any, _: Path) -> None:
        if config.seed == 1:
            raise LipsortError("seed 1 is cursed")

    train_calls.action = fail
    assert lipsort(monkeypatch, "train", "-m", "seed=0,1,2") == 1
    assert [c.seed for c in train_calls.configs] == [0, 1, 2]
    assert "job 1: seed 1 is cursed" in capsys.readouterr().err


def test_an_interrupted_job_ends_a_sweep(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise Interrupted("stopped; continue with resume=")

    train_calls.action = stop
    assert lipsort(monkeypatch, "train", "-m", "seed=0,1,2") == 130
    assert len(train_calls.configs) == 1
    assert "stopped; continue with resume=" in capsys.readouterr().err
    record = read_json(train_calls.directories[0] / "run.json")
    assert record["status"] == "interrupted"


def test_a_file_that_cannot_be_read_is_one_message(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_calls.action = lambda *_: Path("nowhere").read_text()
    assert lipsort(monkeypatch, "train") == 1
    assert capsys.readouterr().err == "lipsort: nowhere: No such file or directory\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("CUDA out of memory. Tried to allocate"),
    ],
)
def test_too_little_memory_is_one_message(
    train_calls: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail(*_: object) -> None:
        raise error

    train_calls.action = fail
    assert lipsort(monkeypatch, "train") == 1
    message = capsys.readouterr().err
    assert message.startswith("lipsort: out of memory (")
    assert message.count("\n") == 1


def test_a_second_interrupt_names_the_command_that_resumes(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    train_calls.action = stop
    assert lipsort(monkeypatch, "train", "hydra.run.dir=here") == 130
    message = capsys.readouterr().err
    assert f"lipsort train resume={train_calls.directories[0]}`" in message
    assert read_json(train_calls.directories[0] / "run.json")["status"] == "interrupted"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--foo"], "lipsort: no option '--foo'; allowed: --help"),
        (["--versio"], "did you mean --version?"),
        (["--version=3"], "allowed: --version without a value"),
        (["--show-completion"], "allowed: --show-completion bash"),
        (["--show-completion=fish"], "completion: found 'fish'"),
    ],
)
def test_an_unknown_option_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    part: str,
) -> None:
    assert lipsort(monkeypatch, *arguments) == 2
    assert part in capsys.readouterr().err


def test_a_defect_keeps_its_traceback(train_calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    train_calls.action = fail
    with pytest.raises(ZeroDivisionError):
        lipsort(monkeypatch, "train")


def test_an_unknown_command_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lipsort(monkeypatch, "zoou") == 2
    assert "did you mean zoo?" in capsys.readouterr().err


# --- resume -----------------------------------------------------------------------------------


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
    with pytest.raises(UsageError, match="is missing"):
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


# --- RUN --------------------------------------------------------------------------------------


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


def test_a_refusal_takes_back_what_hydra_saved(
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


# --- signals ----------------------------------------------------------------------------------

_SLEEPER = """
import sys, time, types
from lipsort_cli.runs import RunRecord
module = types.ModuleType("lipsort_cli.commands.train")
def run(config, directory):
    with RunRecord.recording(directory, "train"):
        print("running", flush=True)
        time.sleep(60)
module.run = run
sys.modules["lipsort_cli.commands.train"] = module
from lipsort_cli.app import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_exits_130_and_can_be_resumed(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SLEEPER, "train", "hydra.run.dir=run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and what they start, ignore Ctrl-C: these tests may be one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        time.sleep(0.1)
        process.send_signal(number)
        _, message = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert message.startswith("lipsort: interrupted at once; continue from the last")
    assert message.endswith("resume=" + str(tmp_path / "run") + "`\n")
    assert read_json(tmp_path / "run/run.json")["status"] == "interrupted"
