"""The same fault has the same exit code in every command: 2 for what the command line names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import lipsort

NOWHERE = {
    "train": ("data=npz", "data.path=nowhere"),
    "train-classifier": ("data=folder", "data.path=nowhere"),
    "wgan": ("data=npz", "data.path=nowhere"),
    "estimate-wasserstein": ("distribution=files", "distribution.p=nowhere", "distribution.q=x"),
    "certify": ("nowhere",),
    "attack": ("nowhere",),
    "export": ("nowhere",),
    "inspect": ("nowhere",),
    "report": ("nowhere",),
    "import": ("nowhere",),
    "generalisation": ("nowhere",),
    "verify": ("nowhere",),
}


@pytest.mark.parametrize("name", NOWHERE)
@pytest.mark.parametrize("junk", [False, True])
def test_what_is_not_there_or_is_junk_is_the_command_lines_fault(
    name: str,
    junk: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if junk:
        (tmp_path / "nowhere").write_bytes(b"\x93\x00junk" * 40)
    code = lipsort(monkeypatch, name, *NOWHERE[name])
    shown = capsys.readouterr()
    # The verifier has a verdict of its own on whatever there is: INVALID.
    assert code == (1 if name == "verify" and junk else 2), shown.err
    assert "nowhere" in shown.err or code == 1
    assert "pickle" not in shown.err + shown.out
    assert {path.name for path in tmp_path.iterdir()} <= {"nowhere"}


ENDING = """
import atexit, threading, time
import torch
def write(name):
    open(name, "w").close()
def later():
    time.sleep(0.5)
    write("thread")
atexit.register(write, "ended")
threading.Thread(target=later).start()
"""


@pytest.mark.parametrize(("word", "code"), [("--cfg=job", 0), ("model.widths=[-1]", 2)])
def test_a_process_with_torch_ends_all_that_others_began(
    word: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "ending.py").write_text(ENDING, encoding="utf-8")
    words = [sys.executable, "-m", "lipsort_cli", "train", "plugins=[ending]", word]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "model" in done.stdout + done.stderr
    assert {path.name for path in tmp_path.iterdir()} >= {"ended", "thread"}
