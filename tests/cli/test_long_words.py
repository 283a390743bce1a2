"""Words that are too long for a file's name: overrides are overrides, paths get one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import lipsort

LONG = "a" * 300
TABLE = ["data=table", "data.path=wide.csv", "data.label=y"]


@pytest.mark.parametrize(
    "override",
    [
        f"data.columns=[{','.join(f'feature_{i:02}' for i in range(30))}]",
        f"evaluation.eps=[{','.join(map(str, range(1, 150)))}]",
        f"data.columns=['{LONG}']",
    ],
)
def test_an_override_may_be_long(
    override: str, train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    words = ["train", *TABLE, override, "hydra.run.dir=o"]
    assert lipsort(monkeypatch, *words) == 0, capsys.readouterr().err
    assert len(train_calls.configs) == 1


@pytest.mark.parametrize(
    "words",
    [
        *([name, LONG] for name in ("certify", "attack", "inspect", "export", "report", "import")),
        *(["train", LONG], ["train", "--nonsense" + LONG], ["train", f"data={LONG}"]),
        *(["certify", f"run={LONG}"], ["predict", "run", LONG], ["predict", f"run={LONG}", "d"]),
        *(["estimate-wasserstein", LONG, LONG], ["theory", LONG], ["generalisation", LONG]),
        *(["train", f"resume={LONG}"], ["train", "-m", f"resume={LONG}"]),
        *(["train", f"hydra.run.dir={LONG}"], ["train", "-m", f"hydra.sweep.dir={LONG}"]),
        *(["certify", f"{LONG}/x"], ["train", f"hydra.run.dir=a/{LONG}/b"]),
        *(["verify", LONG], ["verify", LONG, "--data", LONG], ["tune", LONG]),
    ],
)
def test_a_path_that_is_too_long_is_one_message(
    words: list[str],
    train_calls: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lipsort(monkeypatch, *words) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("lipsort: ") and "Traceback" not in shown
    assert train_calls.configs == [] and list(tmp_path.iterdir()) == []
