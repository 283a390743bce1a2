"""Run directories: whole files, honest records, logs that survive a kill."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli import files
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import read_json, write_atomic, write_json
from lipsort_cli.finding import find_run
from lipsort_cli.identity import described, digest, holder, locked
from lipsort_cli.metrics import MetricsLog
from lipsort_cli.runs import RunRecord, claimed


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomic(target, b"old")
    write_atomic(target, "neu: ä")
    assert target.read_text(encoding="utf-8") == "neu: ä"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~files._umask()


@pytest.mark.parametrize(
    ("number", "word"),
    [(errno.ENOSPC, "No space left"), (errno.EACCES, "Permission"), (errno.EIO, "error")],
)
def test_a_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, word: str
) -> None:
    target = tmp_path / "file"
    write_atomic(target, "old")

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(LipsortError, match=word) as caught:
        write_atomic(target, "new")
    assert str(target) in str(caught.value)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs privileges")
    try:
        write_json(tmp_path / "small.json", {"a": 1})
        with pytest.raises(LipsortError, match="No space left on device; free some space"):
            write_atomic(tmp_path / "big", b"x" * 2**20)
        assert read_json(tmp_path / "small.json") == {"a": 1}
        assert [p.name for p in tmp_path.iterdir()] == ["small.json"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_writing_below_a_file_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LipsortError, match=r"cannot write .*file/x"):
        write_atomic(tmp_path / "file" / "x", "")


def test_json_refuses_what_it_has_no_words_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": 1', b"[1]", b"2"])
def test_reading_a_damaged_json_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(LipsortError, match=r"x\.json"):
        read_json(path)
    with pytest.raises(LipsortError, match="no such file"):
        read_json(tmp_path / "y.json")


def test_killed_writers_leave_whole_files(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from lipsort_cli.runs import write_atomic\n"
        "i = 0\n"
        "while True:\n"
        "    i += 1; write_atomic(Path(sys.argv[1]), str(i % 10) * 300_000)\n"
    )
    target = tmp_path / "file"
    write_atomic(target, "0" * 300_000)
    for delay in (0.25, 0.31, 0.36):
        process = subprocess.Popen([sys.executable, "-c", script, str(target)])
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = target.read_text()
        assert len(content) == 300_000
        assert len(set(content)) == 1


def test_a_record_tells_how_the_run_went(tmp_path: Path) -> None:
    with RunRecord.recording(tmp_path, "train", seed=3, device="cpu", data={"sha256": "0"}):
        running = read_json(tmp_path / "run.json")
    finished = read_json(tmp_path / "run.json")
    assert running["status"] == "running"
    assert finished["status"] == "finished"
    assert (finished["seed"], finished["device"], finished["data"]) == (3, "cpu", {"sha256": "0"})
    assert finished["versions"]["lipsort"]
    assert finished["host"] == socket.gethostname()
    assert finished["seconds"] >= 0


@pytest.mark.parametrize(
    ("raised", "status"),
    [(KeyboardInterrupt(), "interrupted"), (ValueError("it broke\nbadly"), "failed")],
)
def test_a_record_tells_how_the_run_ended(
    tmp_path: Path, raised: BaseException, status: str
) -> None:
    with pytest.raises(type(raised)), RunRecord.recording(tmp_path, "train"):
        raise raised
    record = read_json(tmp_path / "run.json")
    assert record["status"] == status
    assert record.get("reason") == ("it broke" if status == "failed" else None)


def test_a_resumed_record_adds_up(tmp_path: Path) -> None:
    record = RunRecord.start(tmp_path, "train")
    record.interrupt()
    first = read_json(tmp_path / "run.json")
    write_json(tmp_path / "run.json", first | {"seconds": 100.0})
    RunRecord.start(tmp_path, "train").finish()
    second = read_json(tmp_path / "run.json")
    assert second["start"] == first["start"]
    assert second["seconds"] >= 100
    assert second["resumed"] == 1
    with pytest.raises(UsageError, match="lipsort train"):
        RunRecord.start(tmp_path, "certify")


def test_one_process_a_directory_and_no_stale_locks(tmp_path: Path, held: Any) -> None:
    run = tmp_path / "run"
    with held(run) as child:
        assert holder(run) == f"process {child.pid}"
        with pytest.raises(LipsortError, match=f"process {child.pid} works in this run dir") as e:
            RunRecord.recording(run, "train").__enter__()
        assert e.value.exit_code == 1
        assert not (run / "run.json").exists()
    # The file is still there and names a process; its lock is gone with it.
    assert (run / ".lock").read_text().startswith(f"{child.pid} ")
    assert holder(run) is None
    with locked(run), RunRecord.recording(run, "train"):
        assert holder(run) is None  # this process itself
        probe = "import sys; from lipsort_cli.identity import holder; print(holder(sys.argv[1]))"
        asked = subprocess.run([sys.executable, "-c", probe, str(run)], capture_output=True,
                               text=True, check=True)  # fmt: skip
        assert asked.stdout.strip() == f"process {os.getpid()}"
    assert not (run / ".lock").exists()
    with held(run):
        pass


def test_two_threads_do_not_share_a_directory(tmp_path: Path) -> None:
    caught: list[BaseException] = []

    def other() -> None:
        try:
            with locked(tmp_path):
                pass
        except LipsortError as error:
            caught.append(error)

    with locked(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(caught) == 1


@dataclass
class Settings:
    """A configuration with a part that may change, and one that may not."""

    data: dict[str, Any]
    seed: int = 0
    threads: int = 1
    resume: str | None = None
    widths: list[int] = field(default_factory=lambda: [8, 8])


def test_a_run_is_its_configuration_and_its_data(tmp_path: Path) -> None:
    data = {"name": "d", "sha256": "a" * 64}
    config = Settings({"name": "d", "root": "here"})
    with RunRecord.recording(tmp_path, "train", config=config, data=data) as record:
        assert record.identity.configuration == digest(described(config))
    written = (tmp_path / "run.json").read_bytes()
    moved = replace(config, threads=2, data={"name": "d", "root": "elsewhere"})
    # Nobody has compared the content of what lies elsewhere with that of the finished run.
    with pytest.raises(UsageError, match=r"data\.root: found elsewhere, allowed here"):
        claimed(tmp_path, "train", moved).__enter__()
    moved.resume = str(tmp_path)
    with claimed(tmp_path, "train", moved) as standing:
        assert standing == "finished"
    other = replace(config, seed=5, widths=[8])
    for attempt in (claimed(tmp_path, "train", other),
                    RunRecord.recording(tmp_path, "train", config=other)):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            attempt.__enter__()
        assert "seed: found 5, allowed 0" in str(caught.value)
        assert r"widths: found [8], allowed [8, 8]" in str(caught.value)
        assert "threads" not in str(caught.value)
    with pytest.raises(LipsortError, match=r"other data than d .*\n  data.sha256: found b+, allow"):
        RunRecord.start(tmp_path, "train", config=moved, data=data | {"sha256": "b" * 64})
    with pytest.raises(UsageError, match="holds a run of `lipsort train`"):
        claimed(tmp_path, "wgan", config).__enter__()
    assert (tmp_path / "run.json").read_bytes() == written
    with claimed(tmp_path / "new", "train", config) as standing:
        assert standing == "new"


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    with RunRecord.recording(tmp_path, "train"):
        weights.write_bytes(b"weights")
    assert find_run(str(tmp_path), ("train",)) == tmp_path
    weights.write_bytes(b"weightt")
    with pytest.raises(LipsortError, match=r"model\.safetensors: found SHA-256 .*, allowed"):
        find_run(str(tmp_path), ("train",))
    weights.unlink()
    with pytest.raises(LipsortError, match=r"model\.safetensors: no such file"):
        find_run(str(tmp_path), ("train",))


def _run(directory: Path, start: str, status: str = "finished", command: str = "train") -> Path:
    directory.mkdir(parents=True)
    write_json(directory / "run.json", {"command": command, "status": status, "start": start})
    return directory


def test_the_newest_finished_run_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "outputs"
    _run(root / "train/2026-01-01/10-00-00", "2026-01-01T10:00:00")
    newest = _run(root / "train/2026-01-02/10-00-00/1", "2026-01-02T10:00:00")
    _run(root / "train/2026-01-03/10-00-00", "2026-01-03T10:00:00", status="interrupted")
    _run(root / "certify/2026-01-04/10-00-00", "2026-01-04T10:00:00", command="certify")
    (root / "train/2026-01-05/x").mkdir(parents=True)
    (root / "train/2026-01-05/x/run.json").write_text("{")
    assert find_run(None, ("train",), root) == newest.resolve()
    assert str(newest) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "nope", "no such directory"),
        (lambda p: Path(__file__), "is a file"),
        (lambda p: p, "holds no run.json"),
        (lambda p: _run(p / "a", "", command="certify"), "a run of `lipsort certify`"),
        (lambda p: _run(p / "a", "", status="interrupted"), "resume="),
    ],
)
def test_what_is_no_run_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        find_run(str(make(tmp_path)), ("train",))


def test_a_run_whose_process_is_gone_was_killed(tmp_path: Path, held: Any) -> None:
    directory = _run(tmp_path / "a", "", status="running")
    record = {"command": "train", "status": "running", "host": socket.gethostname()}
    write_json(directory / "run.json", record)
    with (
        held(directory) as child,
        pytest.raises(UsageError, match=f"is running.*wait for process {child.pid}"),
    ):
        find_run(str(directory), ("train",))
    with pytest.raises(UsageError, match="the run was killed, not finished; finish it with"):
        find_run(str(directory), ("train",))
    write_json(directory / "run.json", record | {"host": "elsewhere.invalid"})
    with pytest.raises(UsageError, match=r"last seen running on elsewhere\.invalid"):
        find_run(str(directory), ("train",))


def test_no_run_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run `lipsort train` first"):
        find_run(None, ("train",), tmp_path)


def test_a_log_continues_where_the_checkpoint_was(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        for step in range(5):
            log.log(epoch=0, step=step, split="train", loss=float("nan") if step == 1 else step)
    path.write_text(path.read_text() + '{"epoch": 0, "st')  # a kill in the middle of a line
    with MetricsLog(path, resume_at=2) as log:
        log.log(epoch=0, step=3, split="train", loss=30)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert [line["loss"] for line in lines] == [0, None, 2, 30]
    with MetricsLog(path):
        pass
    assert path.read_text() == ""


@given(st.binary(max_size=2000))
@settings(max_examples=30, deadline=None)
def test_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "file"
    write_atomic(path, content)
    assert path.read_bytes() == content
    with contextlib.suppress(OSError):
        path.unlink()
