"""An empty path, as of a shell's variable that is not set, is nothing: never this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import lipsort

from lipsort_cli.config.meant import override_like
from lipsort_cli.errors import UsageError
from lipsort_cli.files import resolved

FILES = "estimate-wasserstein distribution=files"


@pytest.mark.parametrize(
    "line",
    [
        f"{FILES} distribution.p= distribution.q=b.npy",
        f"{FILES} distribution.p=a distribution.q=b distribution.p_weights=",
        "estimate-wasserstein distribution=generator distribution.run=",
        "train data=folder data.path=",
        "train data=mnist data.root=",
        "train data=",
        "wgan data=folder data.path=''",
        "certify ''",
        "inspect ''",
        "report ''",
        "import ''",
        "predict ''",
    ],
)
def test_is_refused_before_anything_is_written(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.replace("''", "") for word in line.split()]
    assert lipsort(monkeypatch, *words) == 2
    said = capsys.readouterr().err
    assert "found" in said and "allowed" in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_no_function_takes_it_for_a_folder() -> None:
    with pytest.raises(UsageError, match="empty"):
        resolved("")


@pytest.mark.parametrize("value", ["[5,-5]", "[5.0,-5.0]", "[1]"])
def test_the_line_to_try_is_another_than_the_one_refused(value: str) -> None:
    assert override_like("estimate-wasserstein", f"distribution.support={value}") is None
