"""Terminals that know few characters, are full, closed or gone; environments that lack things."""

from __future__ import annotations

import io
import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fuzz import ON_RUNS, TINY, attempt, nothing

from lipsort_cli import console as consoles
from lipsort_cli.certificates.points import load_network
from lipsort_cli.cli.plain import PLAIN
from lipsort_cli.commands import doctor
from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.verifier.onnx import onnx_bytes

LINES: dict[str, list[str]] = {
    **{name: [name, *options, "hydra.run.dir=o"] for name, options in TINY.items()},
    **{name: [name, "run", *options] for name, options in ON_RUNS.items()},
    "predict": ["predict", "run", "p.csv"],
    "import": ["import", "n.onnx", "hydra.run.dir=o"],
    "report": ["report", "run", "hydra.run.dir=o"],
    "verify": ["verify", "run/certificate.json"],
    "generalisation": ["generalisation", "run", "--out", "o"],
    "theory": ["theory", "--quick", "o"],
    "reproduce": ["reproduce", "--list", "1"],
    "zoo": ["zoo"],
    "doctor": ["doctor"],
    "tune": [
        "tune",
        "train",
        "training.epochs=1",
        "model.widths=[8]",
        "optimizer.lr=0.01,0.02",
        "trials=1",
        "hydra.run.dir=o",
    ],
}
"""A small command line of every command."""
LEFT = {
    "train": "o/results.json", "estimate-wasserstein": "o/results.json",
    "wgan": "o/results.json", "certify": "run/certificate.json", "attack": "run/attack.json",
    "inspect": "run/inspect.json", "export": "run/export/export.json", "report": "o/report.json",
    "predict": "run/predictions.csv",
    "theory": "o/results.json", "tune": "o/results.json", "import": "o/summary.md",
}  # fmt: skip
"""The file that a command must leave, whatever becomes of its words."""
ANSWERS = {"generalisation": 2}
"""Exit codes that are not 0: the run has biases, for which that bound knows nothing."""


def few_packages() -> None:
    """Let the doctor import three packages instead of all: that takes a process seconds."""
    required, extras = doctor.requirements()
    few = {name: required[name] for name in ("PyYAML", "rich", "typer")}
    doctor.requirements = lambda: (few, extras)  # in a process of its own


@pytest.fixture
def here(shop: Any, tmp_path: Path) -> Path:
    shutil.copytree(shop.sound / "train", tmp_path / "run")
    shutil.copy(shop.sound / "p.csv", tmp_path)
    network = load_network(tmp_path / "run" / "model.safetensors")
    (tmp_path / "n.onnx").write_bytes(onnx_bytes(network))
    return tmp_path


def test_every_command_is_here() -> None:
    assert set(COMMANDS) | set(PLAIN) == set(LINES)


@pytest.mark.parametrize("name", LINES)
def test_every_command_ends_well_where_only_ascii_is_known(name: str, here: Path) -> None:
    before = few_packages if name == "doctor" else nothing
    done = attempt(LINES[name], here, environment={"PYTHONIOENCODING": "ascii"}, before=before)
    assert done.code == ANSWERS.get(name, 0), done.err
    assert "Traceback" not in done.err and done.out.isascii()
    if name in LEFT:
        assert (here / LEFT[name]).is_file()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_other_encodings_lose_nothing_either(encoding: str, here: Path) -> None:
    for name in ("certify", "report", "zoo"):
        done = attempt(LINES[name], here, environment={"PYTHONIOENCODING": encoding})
        assert done.code == 0 and "Traceback" not in done.err


@pytest.mark.parametrize("name", ["train", "certify", "report", "verify", "zoo"])
def test_a_full_device_costs_words_and_no_result(name: str, here: Path) -> None:
    done = attempt(LINES[name], here, stdout="/dev/full")
    assert "Traceback" not in done.err and "Exception ignored" not in done.err
    if name in LEFT:
        assert done.code == 0 and (here / LEFT[name]).is_file()
    # What only speaks has failed when it was not heard.
    assert done.code == (1 if name == "zoo" else ANSWERS.get(name, 0))
    if name not in ANSWERS:
        assert "No space left on device" in done.err


@pytest.mark.parametrize("name", ["train", "certify", "zoo", "verify"])
def test_a_closed_pipe_is_no_accident(name: str, here: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    longer = ["training.epochs=50"] if name == "train" else []
    done = attempt([*LINES[name], *longer], here, stdout=theirs)
    os.close(theirs)
    assert "Traceback" not in done.err and "Exception ignored" not in done.err
    if name == "train":
        # As if terminated: a checkpoint, and how to go on.
        assert done.code == 130 and "resume=o" in done.err
        assert json.loads((here / "o/run.json").read_text())["status"] == "interrupted"
        again = attempt([name, "resume=o"], here)
        assert again.code == 0 and (here / LEFT[name]).is_file()
    else:
        assert done.code == 0
        assert name not in LEFT or (here / LEFT[name]).is_file()


def script(arguments: str, folder: Path, tail: str = "") -> subprocess.CompletedProcess[str]:
    """The real script in a real shell."""
    line = f"{shlex.quote(sys.executable)} -m lipsort_cli {arguments} {tail}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("tail", ["| head -1; exit ${PIPESTATUS[0]}", ">&-", "2>&- >&-", "<&-"])
def test_pipes_and_closed_streams_of_a_shell(tail: str, tmp_path: Path) -> None:
    done = script("zoo", tmp_path, tail)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_nothing_but_a_readable_folder_is_needed(here: Path) -> None:
    homeless = {"HOME": "/proc/none", "MPLCONFIGDIR": "/proc/none", "XDG_CACHE_HOME": "/proc/none",
                "MPLBACKEND": "nonsense", "TERM": "nonsense", "COLUMNS": "x"}  # fmt: skip
    for name in ("certify", "report"):
        done = attempt(LINES[name], here, environment=homeless)
        assert done.code == 0 and "no picture" not in done.err, done.err


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_hang_up_leaves_a_run_that_can_be_resumed(number: int, here: Path) -> None:
    line = [sys.executable, "-m", "lipsort_cli", *LINES["train"], "training.epochs=100000"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(line, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        while (
            not (here / "o/metrics.jsonl").exists() or not (here / "o/metrics.jsonl").stat().st_size
        ):
            assert one.poll() is None
            time.sleep(0.05)
        one.send_signal(number)
        _, err = one.communicate(timeout=60)
    assert one.returncode == 130 and b"resume=o" in err
    assert (here / "o/checkpoint/state.pt").is_file()


def test_a_terminal_that_is_gone_stops_the_run_too(here: Path) -> None:
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "lipsort_cli", *LINES["train"], "training.epochs=100000"]
    with subprocess.Popen(line, cwd=here, stdout=theirs, stderr=subprocess.PIPE) as one:
        os.close(theirs)
        while not (here / "o/metrics.jsonl").exists():
            os.read(ours, 1000)
        os.close(ours)
        _, err = one.communicate(timeout=60)
    assert one.returncode == 130 and b"Traceback" not in err


def test_names_are_shown_without_what_drives_a_terminal(here: Path) -> None:
    name = "a\x1b[2J\x07\u202eb\udcff\n"
    (here / "run").rename(here / name)
    done = attempt(["report", name, "hydra.run.dir=o"], here)
    assert done.code == 0
    page = (here / "o/report.html").read_text(encoding="utf-8")
    for text in (done.out, done.err, page, (here / "o/report.md").read_text(encoding="utf-8")):
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "\\x1b[2J" in done.out and "\\x1b[2J" in page


@pytest.mark.parametrize("name", ["it's a", "ü=3", "a$(touch x)", "a\x1bb\\"])
def test_the_next_command_can_be_pasted(name: str, here: Path) -> None:
    (here / "run").rename(here / name)
    environment: dict[str, str] = {} if name.isascii() else {"PYTHONIOENCODING": "ascii"}
    done = attempt(["certify", f"./{name}", "replace=true"], here, environment=environment)
    assert done.code == 0, done.err
    following = done.out.splitlines()[-1]
    assert following.startswith("next: lipsort verify ")
    command = following.removeprefix("next: lipsort ").replace("verify", "printf '%s'", 1)
    read = subprocess.run(["bash", "-c", command], cwd=here, capture_output=True, check=True)
    assert (here / os.fsdecode(read.stdout)).samefile(here / name / "certificate.json")
    assert not (here / "x").exists()


def test_lines_break_between_words_and_paths_stay_whole() -> None:
    """In a terminal; what is piped is never broken."""
    stream = io.StringIO()
    narrow = consoles.Console(file=stream, width=20, force_terminal=True, highlight=False)
    path = "/a/path/of/more/than/twenty/signs"
    narrow.print(f"what is long is broken at {path}\n  kept as it is")
    narrow.print(f"next: {path} and more words", soft_wrap=True)
    assert stream.getvalue().splitlines() == [
        "what is long is", "broken at", path, "  kept as it is", f"next: {path} and more words",
    ]  # fmt: skip


def test_what_other_tools_would_make_pictures_or_colours_of_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rich.table import Table

    names = ["i8.npz:b", "a:cat:", "[red]a[/red]", "[link=x]", r"\[b]", "run :smile: 1"]
    rows = Table("name", show_header=False)
    for name in names:
        rows.add_row(name)
    for console in (consoles.console, consoles.errors):
        console.print(rows)
        console.print(f"between i8.npz:a and i8.npz:b: in {names[2]}")
    for shown in capsys.readouterr():
        assert all(name in shown for name in [*names, "npz:a and i8.npz:b: in [red]"])


def test_signs_that_cannot_be_shown_have_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert consoles.printable("a\tb\n") == "a\tb\n"
    assert consoles.printable("\x1b\u2066\x85") == "\\x1b\\u2066\\x85"
    assert "±≥".encode("ascii", "lipsort") == b"+->="
    assert "ü".encode("ascii", "lipsort") == b"\\xfc"
    assert consoles.command_line("lipsort", Path("a"), ("run", Path("b c"))) == (
        "lipsort a 'run='\"'\"'b c'\"'\"''"
    )
