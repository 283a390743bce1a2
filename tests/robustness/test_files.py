"""Files that are whole or absent: what killed processes leave, and what is no file at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import (
    LARGEST_WEIGHTS,
    read_bytes,
    read_json,
    read_yaml,
    require_file,
    write_atomic,
    write_json,
)
from lipsort_cli.identity import file_digest
from lipsort_cli.runs import read_record
from lipsort_cli.verifier.tensors import LARGEST_FILE

STUCK = """
import os, sys, time
from pathlib import Path
from lipsort_cli import files
os.fsync = lambda _: (print("written", flush=True), time.sleep(60))
files.write_atomic(Path(sys.argv[1]), b"x" * 1000)
"""


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with subprocess.Popen([sys.executable, "-c", STUCK, str(path)], stdout=subprocess.PIPE) as one:
        assert one.stdout is not None and one.stdout.readline() == b"written\n"
        (left,) = tmp_path.iterdir()
        write_atomic(tmp_path / "other.json", "of a live process: kept")
        assert left.exists()
        one.send_signal(signal.SIGKILL)
    write_atomic(path, "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.json", "results.json"]
    assert path.read_text() == "whole"


def test_any_text_can_be_written(tmp_path: Path) -> None:
    """What a foreign file holds may be quoted in a record: half a surrogate pair, too."""
    for text in ("\ud800", "a\udcffb", "\udcff\ud800", "\0", "\N{GRINNING FACE}"):
        write_json(tmp_path / "run.json", {"message": text})
        assert read_json(tmp_path / "run.json")
    write_atomic(tmp_path / "name", os.fsdecode(b"a\xffb"))
    assert (tmp_path / "name").read_bytes() == b"a\xffb"


def test_names_of_files_that_are_no_utf8_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for name in (os.fsdecode(b"a\xffb"), "a"):
        OmegaConf.save(OmegaConf.create({"path": name, "other": "\N{GRINNING FACE}"}), path)
        assert read_yaml(path)["path"] == name


def test_foreign_files_that_look_temporary_stay(tmp_path: Path) -> None:
    names = [".hidden", ".a.part", ".run.json.deadbeef-1-x.part", ".run.json.tmp"]
    for name in names:
        (tmp_path / name).touch()
    write_atomic(tmp_path / "a", "b")
    assert {p.name for p in tmp_path.iterdir()} == {*names, "a"}


def test_folders_reach_the_disk_after_a_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *a: (order.append("replace"), replace(*a)))
    monkeypatch.setattr(
        os, "fsync",
        lambda f: (order.append(Path(os.readlink(f"/proc/self/fd/{f}")).name), fsync(f)),
    )  # fmt: skip
    write_atomic(tmp_path / "a", "b")
    assert order[0].startswith(".a.") and order[1:] == ["replace", tmp_path.name]


def test_metrics_reach_the_disk_before_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lipsort_cli.training.checkpoint import save_checkpoint

    order: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda f: order.append(Path(os.readlink(f"/proc/self/fd/{f}")).name)
    )
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    save_checkpoint(tmp_path, {"step": 1})
    assert order[0] == "metrics.jsonl" and order[1].startswith(".state.pt.")


def deep(brackets: str) -> bytes:
    return (brackets[0] * 100_000 + brackets[1] * 100_000).encode()


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)

CONTENTS = {
    "empty": b"",
    "cut short": b'{"command": "tr',
    "not UTF-8": b'{"command": "\x80\xff"}',
    "100,000 levels": deep("[]"),
    "100,000 objects": b'{"a":' * 100_000,
    "aliases": BOMB.encode(),
    "many values": b"[" + b"{},[]," * 100_000 + b"0]",
    "a number": b"1",
    "a list": b"[1, 2]",
    "wrong types": b'{"command": 3, "status": []}',
    "huge number": b'{"command": ' + b"9" * 100_000 + b"}",
    "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_damaged_records_and_configurations_are_a_message(kind: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(CONTENTS[kind])
    (tmp_path / "config.yaml").write_bytes(CONTENTS[kind])
    began = time.monotonic()
    with pytest.raises(LipsortError):
        read_record(tmp_path)
    try:
        read_yaml(tmp_path / "config.yaml")
    except LipsortError as error:
        assert "config.yaml" in str(error)
    else:
        assert kind in ("empty", "a number", "a list", "wrong types", "huge number")
    assert time.monotonic() - began < 5


def test_a_large_file_that_was_hardly_written_is_refused_at_once(tmp_path: Path) -> None:
    """Its header may be that of a sound file: to read the rest takes hours."""
    hollow = tmp_path / "weights.safetensors"
    with hollow.open("wb") as file:
        file.write(b"x" * 4096)
        file.truncate(2**40)
    for read in (require_file, file_digest, read_bytes):
        with pytest.raises(LipsortError, match="were ever written"):
            read(hollow)
    with hollow.open("r+b") as file:
        file.truncate(2**28)  # as small as others are that take no time
    assert require_file(hollow).st_size == 2**28


def test_weights_are_read_up_to_what_the_verifier_reads() -> None:
    assert LARGEST_WEIGHTS == LARGEST_FILE < 2**30


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path, kind in ((pipe, "named pipe"), (folder, "folder"), (Path("/dev/zero"), "device")):
        with pytest.raises(LipsortError, match=f"found a {kind}; allowed: a file"):
            read_json(path)
    with pytest.raises(LipsortError, match="no such file"):
        read_bytes(tmp_path / "none")
    with pytest.raises(LipsortError, match="cannot read"):
        read_bytes(Path("a\0b"))
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(LipsortError, match="allowed: at most"):
        read_json(sparse)
