"""The command line in front of Hydra: what runs, where, and what is refused before it does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import lipsort, train
from hydra._internal.hydra import Hydra

from lipsort_cli.cli import job
from lipsort_cli.cli.sweeps import Farewell
from lipsort_cli.config import compose
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import read_json


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


def test_a_single_run_is_composed_once(train_calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[Any] = []
    before = Hydra.compose_config

    def counted(self: Hydra, *arguments: Any, **options: Any) -> Any:
        composed.append(before(self, *arguments, **options))
        return composed[-1]

    monkeypatch.setattr(Hydra, "compose_config", counted)
    train("seed=3", "data=mnist", "experiment=mnist_l2")
    assert len(composed) == 1


def test_what_hydra_does_around_a_job_is_done(train_calls: Any, tmp_path: Path) -> None:
    seen: list[tuple[str, str | None]] = []

    def look(*_: object) -> None:
        seen.append((Path.cwd().name, os.environ.get("LIPSORT_TEST")))

    train_calls.action = look
    train("hydra.run.dir=here", "hydra.job.chdir=true", "+hydra.job.env_set.LIPSORT_TEST=on")
    assert seen == [("here", "on")]
    assert Path.cwd() == tmp_path and "LIPSORT_TEST" not in os.environ
    train("hydra.run.dir=there", "hydra.output_subdir=saved", "objective=x${hydra:job.name}")
    assert (tmp_path / "there/saved/config.yaml").is_file()
    train("hydra.run.dir=nowhere", "hydra.output_subdir=null")
    assert [path.name for path in (tmp_path / "nowhere").iterdir()] == ["run.json"]


def test_a_job_that_is_refused_writes_nothing(train_calls: Any, tmp_path: Path) -> None:
    """Neither a directory nor, where a run lies there already, anything of its ``.hydra``."""
    module = sys.modules["lipsort_cli.commands.train"]
    accept = module.run

    def refuse(*_: object) -> None:
        raise LipsortError("no such data")

    train("-m", "seed=0,1", "hydra.sweep.dir=o")
    before = {p: p.read_bytes() for p in tmp_path.rglob(".hydra/*")}
    with pytest.raises(UsageError, match="seed: found 5, allowed 0"):
        train("-m", "seed=5,6", "hydra.sweep.dir=o")
    assert {p: p.read_bytes() for p in tmp_path.rglob(".hydra/*")} == before
    module.run = refuse  # type: ignore[attr-defined]
    with pytest.raises(LipsortError, match="no such data"):
        train("hydra.run.dir=a/b")
    assert not (tmp_path / "a").exists()
    module.run = accept  # type: ignore[attr-defined]


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
        (["~augmentation"], ["augmentation: removed, but required"]),
        (["--nonsense"], ["--nonsense"]),
        (["--cfg", "everything"], ["everything", "job"]),
        (["-m", "seed=0,1", "--cfg", "job"], ["--multirun and --cfg", "one of them"]),
        (["hydra.run.dir="], ["hydra.run.dir: found nothing"]),
        (["-m", "seed=range(1,2,0)"], ["seed: found range(1,2,0)", "zero"]),
        (["--config-dir", "nowhere"], ["--config-dir", "nowhere"]),
        (["resume=nowhere"], ["resume: found nowhere, which is no directory"]),
        (["resume=nowhere", "-m"], ["resume: found nowhere", "multirun.yaml"]),
        (["resume=sweep"], ["which is a sweep; allowed: with -m", "try: lipsort train -m resume="]),
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
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "multirun.yaml").touch()
    assert lipsort(monkeypatch, "train", *arguments) == 2
    output = capsys.readouterr()
    for part in parts:
        assert part in output.err
    assert output.out == ""
    assert train_calls.configs == []
    assert list(tmp_path.iterdir()) == [tmp_path / "sweep"]


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
    assert "job 1 (seed=1): seed 1 is cursed" in capsys.readouterr().err


def test_a_sweep_counts_all_jobs_and_shows_defects(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those that never began a record; a defect has its traceback, whichever job had it."""
    module = sys.modules["lipsort_cli.commands.train"]
    accepting = module.run

    def run(config: Any, directory: Path) -> None:
        if config.seed == 1:
            raise UsageError("seed 1 is refused")
        if config.seed == 2:
            raise KeyError("a defect")
        accepting(config, directory)

    monkeypatch.setattr(module, "run", run)
    for subdir in ([], ["hydra.sweep.subdir=s/${seed}"]):
        assert lipsort(monkeypatch, "train", "-m", "seed=0,1,2,3", *subdir) == 2
        shown, warned = capsys.readouterr()
        assert "4 jobs: 2 finished, 2 failed" in shown
        assert warned.count("KeyError: 'a defect'") == 1
        assert 'raise KeyError("a defect")' in warned
        assert warned.splitlines()[-1] == "lipsort: seed 1 is refused"


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
    assert "`lipsort train resume=here`" in message
    assert read_json(train_calls.directories[0] / "run.json")["status"] == "interrupted"


def test_an_interrupt_before_a_sweeps_first_record_says_how_it_goes_on(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Farewell, "folder", None)
    with monkeypatch.context() as patch:
        patch.setattr(job, "carry_out", stop)
        assert lipsort(patch, "train", "-m", "seed=0,1", "hydra.sweep.dir=o") == 130
    said = "lipsort: interrupted; go on with `lipsort train -m resume=o`"
    # The last line: a handler of an earlier test may complain of that test's closed stream.
    assert capsys.readouterr().err.strip().splitlines()[-1] == said
    assert lipsort(monkeypatch, "train", "-m", "resume=o") == 0
    assert [config.seed for config in train_calls.configs] == [0, 1]


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
