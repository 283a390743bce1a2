"""Relative paths mean what they meant where they were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzz import TINY, attempt

WITH_FILES = {
    "npz": ["train", *TINY["train"][2:], "data=npz", "data.path=set.npz"],
    "folder": ["train", *TINY["train"][2:], "data=folder", "data.path=images"],
    "files": ["estimate-wasserstein", *TINY["estimate-wasserstein"][2:], "distribution=files",
              "distribution.p=p.npz:arr_0", "distribution.q=q"],
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_FILES)
def test_data_are_found_from_another_folder_and_under_chdir(
    name: str, shop: Any, tmp_path: Path
) -> None:
    for one in ("set.npz", "images", "p.npz", "q"):
        shop.copy(one, tmp_path)
    arguments = WITH_FILES[name]
    if name == "files":
        arguments = [*arguments[:-2], "distribution.p=p.npz:arr_0", "distribution.q=p.npz:arr_0"]
    done = attempt([*arguments, "hydra.run.dir=run", "hydra.job.chdir=true"], tmp_path)
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    elsewhere = tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    again = attempt([arguments[0], "resume=../../run"], elsewhere)
    assert again.code == 0, again.err
    seen = attempt(["inspect", "../../run", "points=5"], elsewhere)
    assert seen.code == 0, seen.err
    for one in ("set.npz", "images", "p.npz", "q"):
        (tmp_path / one).rename(elsewhere / one)
    gone = attempt(["inspect", "../../run", "points=5"], elsewhere)
    assert gone.code == 1 and "put them back where they were" in gone.err, gone.err


def test_a_home_of_nobody_is_a_message(tmp_path: Path) -> None:
    for arguments in (
        ["report", "runs=['~nobody-here/x']"],
        ["train", "resume='~nobody-here/x'"],
        ["train", "data=npz", "data.path='~nobody-here/x'"],
    ):
        done = attempt(arguments, tmp_path)
        assert done.code in (1, 2) and "Traceback" not in done.err, done.err
        assert "nobody-here" in done.err
