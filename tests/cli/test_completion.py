"""Completion: the candidates, and what real shells make of them."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lipsort_cli.cli.complete import SCRIPTS, candidates, install
from lipsort_cli.config.catalog import group_options
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import write_json


@pytest.mark.parametrize(
    ("words", "current", "expected"),
    [
        ([], "tra", ["train", "train-classifier"]),
        ([], "zo", ["zoo"]),
        ([], "--inst", ["--install-completion"]),
        (["--show-completion"], "", ["bash", "zsh"]),
        (["zoo"], "acti", ["activation"]),
        (["train"], "mod", ["model=", "model."]),
        (["train"], "model.w", ["model.widths="]),
        (["train"], "see", ["seed="]),
        (["train"], "+model.w", ["+model.widths="]),
        (["train"], "training.ep", ["training.epochs="]),
        (["train"], "evaluation.attack.s", ["evaluation.attack.steps="]),
        (["train"], "evaluation.attack", ["evaluation.attack."]),
        (["train"], "data=mn", ["data=mnist"]),
        (["train"], "data=digits,mn", ["data=digits,mnist"]),
        (["train"], "loss=", [f"loss={o}" for o in group_options("loss")]),
        (["train"], "evaluation.norm=", [f"evaluation.norm={n}" for n in ("l2", "linf", "l1")]),
        (["train"], "model.bias=t", ["model.bias=true"]),
        (["train"], "activation.", []),  # the default option has no keys of its own
        (["train", "activation=groupsort"], "activation.g", ["activation.group_size="]),
        (["train", "activation=relu"], "activation.g", []),
        (["train"], "hydra/launcher=b", ["hydra/launcher=basic"]),
        (["train"], "hydra.run", ["hydra.run.dir="]),
        (["train", "--cfg"], "j", ["job"]),
        (["train"], "--mul", ["--multirun"]),
        (["train-classifier"], "constraint=orth", ["constraint=orthonormal"]),
        (["train"], "nonsense=", []),
        (["tune"], "", ["train", "estimate-wasserstein", "resume="]),
        (["tune", "train"], "tri", ["trials="]),
        (["tune", "train"], "training.ep", ["training.epochs="]),
        (["tune", "train"], "data=mn", ["data=mnist"]),
        (["tune", "train"], "prune=f", ["prune=false"]),
        (["nonsense"], "x-no-such-file", []),
    ],
)  # fmt: skip
def test_candidates(words: list[str], current: str, expected: list[str]) -> None:
    assert candidates(words, current) == expected


def test_paths_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "outputs/train/2026-01-01/10-00-00"
    run.mkdir(parents=True)
    write_json(run / "run.json", {})
    (tmp_path / "mine.npz").write_text("")
    (tmp_path / ".hidden").write_text("")
    assert "outputs/train/2026-01-01/10-00-00" in candidates(["certify"], "")
    assert candidates(["certify"], "outputs/tr") == ["outputs/train/"]
    assert candidates(["import"], "m") == ["mine.npz", "mean="]
    assert candidates(["predict"], "mi") == ["mine.npz"]
    assert candidates(["train", "data=npz"], "data.path=m") == ["data.path=mine.npz"]
    assert candidates(["train"], "hydra.run.dir=") == [
        "hydra.run.dir=mine.npz",
        "hydra.run.dir=outputs/",
    ]


def _answer(line: str, shell: str = "bash") -> list[str]:
    environment = os.environ | {
        "_LIPSORT_COMPLETE": shell,
        "COMP_LINE": line,
        "COMP_POINT": str(len(line.encode())),
        "COMP_WORDBREAKS": " \t\n\"'@><=;|&(:",
    }
    script = "import sys; from lipsort_cli.app import main; main(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    *lines, modules = done.stdout.splitlines()
    assert not {"torch", "hydra", "omegaconf", "numpy", "matplotlib"} & set(modules.split())
    return lines


def test_bash_gets_what_follows_the_word_break() -> None:
    assert _answer("lipsort train data=mn") == ["mnist"]
    assert _answer("lipsort train seed=1 data=") == group_options("data", "train")
    assert _answer("lipsort train data=mn", "zsh") == ["data=mnist"]
    assert _answer("lipsort train 'ä' see") == ["seed="]


def _typed(shell: list[str], setup: str, keys: bytes, tail: bytes, folder: Path) -> str:
    """Type into a real shell on a terminal; what it echoes after ``@@`` is its own line.

    ``tail`` is how the line should end: seen early, it saves waiting.
    """
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    starter = bin_folder / "lipsort"
    starter.write_text(
        f"#!{sys.executable}\nfrom lipsort_cli.app import main\nmain()\n", encoding="utf-8"
    )
    starter.chmod(0o755)
    (folder / "setup").write_text(setup)
    (folder / "two  $(spaces).npz").write_text("")
    environment = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "HOME": str(folder),
        "ZDOTDIR": str(folder),
        "TERM": "dumb",
        "PS1": "$ ",
    }
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execvpe(shell[0], shell, environment)
    collected = b""

    def until(mark: bytes, seconds: float) -> None:
        nonlocal collected
        end = time.monotonic() + seconds
        while mark not in collected and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    collected += os.read(terminal, 4096)
                except OSError:
                    return

    try:
        os.write(terminal, b". ./setup; echo rea''dy\n")
        until(b"ready\r\n", 20)
        collected = b""
        # Ctrl-A puts the echo before the line that the shell has completed by then.
        os.write(terminal, keys)
        until(tail, 8)
        time.sleep(0.1)
        os.write(terminal, b"\x01echo @'@' \n")
        collected = b""
        until(b"@@ ", 20)
        until(b"\n$", 2)
    finally:
        os.write(terminal, b"exit\n")
        os.close(terminal)
        os.kill(process, 9)
        os.waitpid(process, 0)
    text = collected.decode(errors="replace")
    return text.rpartition("@@ ")[2].splitlines()[0].rstrip("\r") if "@@ " in text else text


HOSTILE = ("a$(touch x).npz", "with space.npz", "it's `x`.npz", 'say "!x".npz', "semi;x&.npz", "~n")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_what_is_inserted_is_one_word_and_no_command(
    name: str, quote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("")
    (tmp_path / "new\nline").write_text("")
    before = f"lipsort train data=npz data.path={quote}"
    (inserted,) = _answer(before)
    done = subprocess.run(
        ["bash", "-c", f"set +H; printf '%s|' {before}{inserted}{quote}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"lipsort|train|data=npz|data.path={name}|"
    assert {p.name for p in tmp_path.iterdir()} == {name, "new\nline"}
    # Half of the name, as it was completed before, is gone on with.
    if not quote and len(inserted) > 8:
        assert inserted.endswith(_answer(before + inserted[:-4])[0])


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("lipsort tra\t-c\t data=mn\t mod\t", "lipsort train-classifier data=mnist model"),
        ("lipsort train model.wi\t", "lipsort train model.widths="),
        ("lipsort train optimizer=sti\t", "lipsort train optimizer=stiefel"),
        (
            "lipsort train data=npz data.path=tw\t",
            "lipsort train data=npz data.path=two  $(spaces).npz",
        ),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_real_shells_complete(shell: str, typed: str, expected: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    start = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    extra = "" if shell == "bash" else "autoload -Uz compinit; compinit -u; bindkey -e; PS1='$ '\n"
    # Two characters only: a bell may ring between what is typed and what is completed.
    tail = expected[-2:].encode()
    line = _typed(start, extra + SCRIPTS[shell], typed.encode(), tail, tmp_path)
    assert line.rstrip() == expected


def test_a_start_file_keeps_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    held = b"alias x='\xff\xfe'\r\nno end of line"
    (tmp_path / ".bashrc").write_bytes(held)
    install("bash")
    assert (tmp_path / ".bashrc").read_bytes().startswith(held + b"\n[ -f ")
    (tmp_path / ".bashrc").unlink()
    (tmp_path / ".bashrc").mkdir()
    with pytest.raises(LipsortError, match="left as it is: add the line"):
        install("bash")


def test_installing_twice_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("ZDOTDIR", raising=False)
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'")
    for shell in SCRIPTS:
        start = install(shell)
        once = start.read_text()
        assert install(shell).read_text() == once
        assert str(tmp_path / f".local/share/lipsort/completion.{shell}") in once
    assert (tmp_path / ".bashrc").read_text().startswith("alias ll='ls -l'\n")
