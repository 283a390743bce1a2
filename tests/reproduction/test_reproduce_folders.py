"""Folders of `lipsort reproduce`: refused before anything is run, by the option that names them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import lipsort

from lipsort_cli.cli.plain import PLAIN
from lipsort_cli.errors import LipsortError
from lipsort_cli.reproduction import worker

KEPT = Path(__file__).parents[2] / "docs" / "paper"


def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise AssertionError("a job was run")

    monkeypatch.setattr("lipsort_cli.commands.reproduce._run", run)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"number": 1, ', "not a JSON file"),
        ("[]", "no JSON object"),
        ('{"hello": 1}', "no results of `lipsort reproduce --record`"),
        ('{"number": "x"}', "no results of"),
        (None, "no results of"),  # one whose tables were cut off
    ],
)
@pytest.mark.parametrize("option", ["--page", "--record"])
def test_a_file_that_is_none_of_the_results_is_named(
    option: str, content: str | None, said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    _nothing_runs(monkeypatch)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(KEPT, "kept")
    text = (KEPT / "theory.json").read_text() if content is None else content
    Path("kept/zz.json").write_text(text.replace('"checks"', '"chekcs"'))
    words = [option, "kept", *(["1", "--out", "new"] if option == "--record" else [])]
    assert lipsort(monkeypatch, "reproduce", *words) == (1 if option == "--page" else 2)
    shown = " ".join(capsys.readouterr().err.split())
    assert "kept/zz.json" in shown and said in shown and "Traceback" not in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


@pytest.mark.parametrize("option", ["--out", "--record"])
@pytest.mark.parametrize("place", ["afile", "afile/deeper", "/proc/nothing"])
def test_a_place_that_nothing_can_be_written_to_is_refused_at_once(
    option: str, place: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    _nothing_runs(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("afile").write_text("mine")
    assert lipsort(monkeypatch, "reproduce", "1", option, place) in (1, 2)
    shown = " ".join(capsys.readouterr().err.split())
    assert place in shown and f"choose another folder with {option} FOLDER" in shown
    assert Path("afile").read_text() == "mine" and "hydra" not in shown


@pytest.mark.parametrize("words", ["1", "--quick", "--out x", "--record x", "--seeds 1", "--list"])
def test_a_page_is_written_of_what_is_there(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(KEPT, "kept")
    assert lipsort(monkeypatch, "reproduce", "--page", "kept", *words.split()) == 2
    assert "allowed: alone" in capsys.readouterr().err
    Path("kept/text.md").write_bytes(b"caf\xe9\n")  # of another encoding than ours
    assert lipsort(monkeypatch, "reproduce", "--page", "kept") == 0
    assert b"caf\xe9\n" in Path("kept.md").read_bytes()


WORDS = {
    "verify": ("", "--network="),
    "theory": ("",),
    "generalisation": ("",),
    "reproduce": ("", "--out=", "--record=", "--page="),
    "zoo": ("",),
    "doctor": (),
}
"""What a variable of a shell that is not set may leave of a word of these commands."""


@pytest.mark.parametrize(("name", "word"), [(n, w) for n, ws in WORDS.items() for w in ws])
def test_an_empty_word_is_nothing(
    name: str, word: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    _nothing_runs(monkeypatch)
    monkeypatch.chdir(tmp_path)
    words = [word.removesuffix("="), ""] if word else [""]
    assert lipsort(monkeypatch, name, *words) == 2
    said = capsys.readouterr().err
    assert "found" in said and "Traceback" not in said and not list(tmp_path.iterdir())


def test_every_plain_command_is_here() -> None:
    assert set(WORDS) == set(PLAIN)


def test_a_mark_that_cannot_be_written_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LipsortError("cannot write job.json: No space left on device")

    monkeypatch.setattr("lipsort_cli.files.write_json", full)
    monkeypatch.setattr(worker, "perform", lambda *_: None)
    answer = worker.serve({"command": "x", "overrides": [], "directory": str(tmp_path / "job")})
    assert answer["status"] == "failed" and "No space left" in answer["error"]
