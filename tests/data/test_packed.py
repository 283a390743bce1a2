"""Files that hold others are named as such wherever one of the user's own is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import lipsort

PACKED = ("a.csv.gz", "a.tsv.bz2", "a.zip", "a.tar", "a.TGZ")
LINES = (
    "train data=table data.label=y data.path={}",
    "train data=folder data.path={}",
    "train data=npz data.path={}",
    "wgan data=folder data.path={}",
    "estimate-wasserstein distribution=files distribution.p={} distribution.q=b.npy",
)


@pytest.mark.parametrize("line", LINES)
def test_how_a_packed_file_is_made_fit_is_said(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in PACKED:
        Path(name).write_bytes(b"\x1f\x8b")
        assert lipsort(monkeypatch, *line.format(name).split()) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "unpack it first" in said and "Traceback" not in said, (name, said)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PACKED)


def test_nothing_is_said_of_files_that_hold_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.doc").write_bytes(b"")
    for line in LINES:
        assert lipsort(monkeypatch, *line.format("a.doc").split()) == 2
        assert "unpack" not in capsys.readouterr().err
