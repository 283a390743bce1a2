"""The line that says where results lie names no picture that could not be drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from lipsort_cli.console import results_line


@pytest.mark.parametrize("beside", [False, True])
def test_names_the_pictures_that_are_there(
    beside: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/drawn.png").touch()
    (tmp_path / "rows.csv").touch()
    place = tmp_path / "rows.csv" if beside else tmp_path
    results_line("Results", place, "results.json", "figures/lost.png", "figures/drawn.png")
    assert capsys.readouterr().out.endswith("(results.json, figures/drawn.png)\n")
